# kill -9 at random points, round after round: of both push programs, both fetch programs, the process that fetches ahead,
# the archive module's archiver, PostgreSQL and the gateway.  Nothing is lost, nothing is wrong, and nobody cleans up by hand.
use strict;
use warnings;
use File::Copy ();
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallRecovery;
use SeawallSoak;
use SeawallTest;
use Test::More;
use Time::HiRes qw(time sleep);

my $seed = soak_seed();
my $version = (versions())[0];
my @store = (settings => { 'store-deadline' => '5s', 'store-stall-timeout' => '2s', 'store-connect-timeout' => '1s' });

# --- whom to kill ---------------------------------------------------------------------------------------

sub running
{
	my ($program) = @_;
	my $file = program('seawall') =~ s{/seawall$}{/$program}r;
	return map { m{/proc/(\d+)/exe} } grep { (readlink $_ // '') eq $file } glob '/proc/[0-9]*/exe';
}
sub kill_one { my @pid = @_; return @pid ? kill('KILL', $pid[ rand @pid ]) : 0 }
sub up { my ($server) = @_; $server->start(timeout => 120) unless $server->pid; return }
sub archiver_of { my ($server) = @_; return map { /^\s*(\d+)/ } grep { /archiver/ } `ps -o pid=,args= --ppid @{[ $server->pid // 0 ]}` }

# [WHAT, how often, how: returns how many]
sub victims_of
{
	my ($pg, $standby, $s3, $module) = @_;
	return (
		$module ? () : [ 'push', 4, sub { kill_one(running('seawall-push'), running('libexec/seawall-push')) } ],
		[ 'fetch', 3, sub { kill_one(grep { $_ != (background($standby) // 0) } running('seawall-fetch'), running('libexec/seawall-fetch')) } ],
		[ 'the process that fetches ahead', 3, sub { kill_one(background($standby) // ()) } ],
		[ 'the archiver', $module ? 4 : 1, sub { kill_one(archiver_of($pg)) } ],
		[ 'the standby', 1, sub { return 0 unless $standby->pid; $standby->kill9; return 1 } ],
		[ 'the primary', 1, sub { return 0 unless $pg->pid; $pg->kill9; return 1 } ],
		[ 'the primary, immediately', 1, sub { return 0 unless $pg->pid; $pg->stop('immediate'); return 1 } ],
		[ 'the gateway', 1, sub {
			my $file = $s3->{dir} . '/run/client.rgw.pid';
			my $n = kill_one(-e $file ? slurp($file) =~ /(\d+)/ : ());
			sleep rand 2;
			$s3->start;
			return $n;
		} ],
	);
}

sub kill_for
{
	my ($seconds, $pg, $standby, @victims) = @_;
	my @hat = map { my $v = $_; ($v) x $v->[1] } @victims;
	my ($load, $rounds, $end, %killed) = (undef, 0, time + $seconds);
	while (time < $end || grep { !$killed{ $_->[0] } } @victims)
	{
		last if time > $end + 120;
		$load = running_load($load, $pg, '-c', 3, '-T', 600);
		sleep rand 0.4;
		# at the end, whom chance has spared
		my @spared = time < $end ? () : grep { !$killed{ $_->[0] } } @victims;
		my $victim = @spared ? $spared[ rand @spared ] : $hat[ rand @hat ];
		my $n = $victim->[2]->();
		$killed{ $victim->[0] } += $n;
		$rounds += $n > 0;
		up($pg);
		up($standby);
	}
	kill 'TERM', $load->{pid};
	SeawallTest::reap($load);
	diag "$rounds rounds: ", join ', ', map { "$_->[0] " . ($killed{ $_->[0] } // 0) } @victims;
	ok(!(grep { !$killed{ $_->[0] } } @victims), "... $rounds rounds, in which all were killed (seed $seed)");
	return;
}

# --- what is left ----------------------------------------------------------------------------------------

sub all_came_back
{
	my ($aside, $repo, $config, $pg) = @_;
	my $got = fetched_back($aside, $config, $pg->pgdata, 3);
	cmp_ok($got->{count}, '>', 10, "... $got->{count} files are fetched back");
	is(join(' ', @{ $got->{lost} }), '', '... none is lost');
	is(join(' ', @{ $got->{different} }), '', '... none is different');
	is(join(' ', @{ $got->{wrong} }), '', '... and none was answered wrongly');
	my @names = map { m{([^/]+)$} } glob "$aside/*";
	my @numbers = map { hex(substr $_, 8, 8) * 4096 + hex(substr $_, 16) } sort grep { /^[0-9A-F]{24}$/ } @names;
	is($numbers[-1] - $numbers[0], $#numbers, '... there is no hole between them');
	my %aside = map { $_ => 1 } @names;
	# a killed put leaves its temporary file in a directory, which is no object and never listed
	is(join(' ', grep { !$aside{ s{.*/}{}r =~ s/\.zst$//r } } grep { m{/wal/} && !m{/tmp~} } $repo->names), '', '... and the repository has nothing else');
	return;
}

# two => 1: a second repository, of which one is enough; module => FILE: archived by the module
sub rounds
{
	my ($what, $seconds, %o) = @_;
	note $what;
	my $name = $what =~ s/\W//gr;
	my $s3 = SeawallTest::Gateway->new;
	my $proxy = SeawallTest::Proxy->new($s3);
	my $bucket = SeawallTest::Repo->of_kind('s3', "rounds-$name", $s3);
	my @repos = ($bucket, $o{two} ? SeawallTest::Repo->of_kind('file', $name) : ());
	my @faulty = (SeawallTest::Repo->new(%$bucket, proxy => $proxy, @store), @repos[ 1 .. $#repos ]);
	my $pg = SeawallTest::Cluster->new(name => "p$name", version => $version, segment_mb => 1, conf => "max_wal_size = '64MB'\n"
		. "min_wal_size = '32MB'\ncheckpoint_timeout = '30s'\nrestart_after_crash = on\n" . ($o{module} ? "wal_keep_size = '4GB'\n" : ''));
	my $options = { pgdata => $pg->pgdata, 'pg-host' => $pg->sockets, 'pg-user' => 'postgres', $o{two} ? ('push-quorum' => 1) : () };
	my $config = write_config(path("$name.conf"), cluster => $options, repos => \@faulty);
	my $aside = SeawallTest::make_dir(path("$name-aside"));
	my @push = (program('seawall-push'), '--config', $config, '%p');

	$pg->append_conf("archive_mode = on\n" . ($o{module} ? "archive_library = '$o{module}'\nseawall_archive.config = '$config'"
		: "archive_command = '" . wrapped([ aside => $aside ], @push) . "'"));
	$pg->start;
	run_ok(program('seawall'), 'init', { env => { SEAWALL_CONFIG => $config } });
	$pg->pgbench('-i', '-q', '-s', 2);
	my $base = backup_of($pg, path("$name-base"));
	my $standby = new_recovery(name => "s$name", base => $base, repo => $bucket, more => [ @repos[ 1 .. $#repos ] ], version => $version,
		proxy => $proxy, standby => 1, @store, conf => "recovery_target_timeline = 'latest'\nwal_retrieve_retry_interval = '200ms'\n",
		cluster => { 'standby-outage-wait' => '2s', 'fetch-spool-max' => '32MB' });
	# one call in ten is killed by its wrapper: that is how the small programs, which live for a millisecond, are met
	$pg->append_conf("archive_command = '" . wrapped([ aside => $aside, kill => 0.1, within => 0.06, seed => $seed ], @push) . "'")
		unless $o{module};
	$pg->reload;
	my $fetch = $standby->restore_command($standby->{config}) =~ s/ %p$//r;
	$standby->append_conf("restore_command = '" . wrapped([ kill => 0.1, within => 0.06, seed => $seed ], split(' ', $fetch), '%p') . "'");
	$standby->start;
	kill_for($seconds, $pg, $standby, victims_of($pg, $standby, $s3, $o{module}));

	up($pg);
	up($standby);
	$pg->wait_for_sql('SELECT 1', 1, 120); # it may be in its crash recovery still
	ok(drained($pg), "$what: the archiver comes to an end") or diag substr $pg->log_text, -3000;
	ok(eval { wait_until('the standby', sub { up($standby); same_rows($standby) eq same_rows($pg) }, 180); 1 }, '... the standby has the same rows')
		or diag substr $standby->log_text, -3000;
	cmp_ok(spool_bytes($standby), '<=', 32 << 20, '... its spool is within its budget');
	unlike($_->log_text, qr/PANIC|incorrect data checksum|could not locate/, '... no server met what is wrong') for $pg, $standby;
	$standby->stop;
	left_behind($standby, '... and nothing is left behind');
	is($pg->amcheck, '', '... the primary is sound');
	$pg->stop;
	if ($o{module})
	{
		# nothing was recycled: pg_wal has the originals
		for my $done (map { m{([^/]+)\.done$} } glob $pg->pgdata . '/pg_wal/archive_status/*.done')
		{
			File::Copy::copy($pg->pgdata . "/pg_wal/$done", "$aside/$done") if -e $pg->pgdata . "/pg_wal/$done";
		}
	}
	if ($o{two})
	{
		my $r = seawall('sync', { config => $config, timeout => 300 });
		is($r->{status}, 0, '... what one repository missed is paid') or diag SeawallTest::describe($r);
	}
	for my $i (0 .. $#repos)
	{
		my $alone = write_config(path("$name-$i.conf"), cluster => { pgdata => $pg->pgdata }, repos => [ $faulty[$i] ]);
		all_came_back($aside, $repos[$i], $alone, $pg);
	}

	my $again = new_recovery(name => "a$name", base => $base, repo => $bucket, version => $version);
	$again->start(timeout => 120);
	recovered($again);
	$pg->start;
	is(same_rows($again), same_rows($pg), '... a recovery from the base backup has the same rows');
	is($again->amcheck, '', '... and is sound');
	$_->stop for $again, $pg;
	left_behind($again, '... and leaves nothing behind');
	$s3->stop;
	SeawallTest::remove_tree($_) for $pg->pgdata, $standby->pgdata, $again->pgdata, $base, $aside;
	return;
}

rounds('one repository', long_tests() ? 240 : 8);
rounds('two repositories', 90, two => 1) if long_tests();
SKIP:
{
	my $built = "$ENV{BUILDDIR}/contrib/seawall_archive/seawall_archive.so";
	skip 'the module takes its time', 1 unless long_tests();
	skip 'the module was not built for this server', 1 unless -e $built && $version == 15 && `/usr/bin/ldd $built` !~ /libasan/;
	my $library = path('seawall_archive');
	File::Copy::copy($built, "$library.so") or die "$built: $!";
	chmod 0755, "$library.so";
	rounds('the archive module', 90, module => $library);
}
done_testing();
