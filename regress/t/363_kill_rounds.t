# kill -9 at random points, round after round: of both push programs, both fetch programs, the process that fetches ahead,
# PostgreSQL and the gateway.  Nothing is lost, nothing is wrong, and nobody cleans up by hand.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallRecovery;
use SeawallSoak;
use SeawallTest;
use Test::More;
use Time::HiRes qw(time sleep);

my $seed = soak_seed();
my ($version, $seconds) = ((versions())[0], long_tests() ? 300 : 8);
my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my @store = (settings => { 'store-deadline' => '5s', 'store-stall-timeout' => '2s', 'store-connect-timeout' => '1s' });
my $repo = SeawallTest::Repo->of_kind('s3', 'rounds', $s3);
my $pg = SeawallTest::Cluster->new(name => 'primary', version => $version, segment_mb => 1,
	conf => "max_wal_size = '64MB'\nmin_wal_size = '32MB'\ncheckpoint_timeout = '30s'\nrestart_after_crash = on\n");
my $options = { pgdata => $pg->pgdata, 'pg-host' => $pg->sockets, 'pg-user' => 'postgres' };
my $config = write_config(path('rounds.conf'), cluster => $options, repos => [ SeawallTest::Repo->new(%$repo, proxy => $proxy, @store) ]);
my $aside = SeawallTest::make_dir(path('aside'));
my @push = (program('seawall-push'), '--config', $config, '%p');

$pg->append_conf("archive_mode = on\narchive_command = '" . wrapped([ aside => $aside ], @push) . "'");
$pg->start;
run_ok(program('seawall'), 'init', { env => { SEAWALL_CONFIG => $config } });
$pg->pgbench('-i', '-q', '-s', 2);
my $base = backup_of($pg, path('base'));
my $standby = new_recovery(name => 'standby', base => $base, repo => $repo, version => $version, proxy => $proxy, standby => 1, @store,
	conf => "recovery_target_timeline = 'latest'\nwal_retrieve_retry_interval = '200ms'\n",
	cluster => { 'standby-outage-wait' => '2s', 'fetch-spool-max' => '32MB' });
# one call in ten is killed by its wrapper: that is how the small programs, which live for a millisecond, are met
$pg->append_conf("archive_command = '" . wrapped([ aside => $aside, kill => 0.1, within => 0.06, seed => $seed ], @push) . "'");
$pg->reload;
my $fetch = $standby->restore_command($standby->{config}) =~ s/ %p$//r;
$standby->append_conf("restore_command = '" . wrapped([ kill => 0.1, within => 0.06, seed => $seed ], split(' ', $fetch), '%p') . "'");
$standby->start;

# --- whom to kill ---------------------------------------------------------------------------------------

sub running
{
	my ($program) = @_;
	my $file = program('seawall') =~ s{/seawall$}{/$program}r;
	return map { m{/proc/(\d+)/exe} } grep { (readlink $_ // '') eq $file } glob '/proc/[0-9]*/exe';
}
sub kill_one { my @pid = @_; return @pid ? kill('KILL', $pid[ rand @pid ]) : 0 }
sub up { my ($server) = @_; $server->start(timeout => 120) unless $server->pid; return }

my $gateway_pid = sub { my $file = $s3->{dir} . '/run/client.rgw.pid'; return -e $file ? slurp($file) =~ /(\d+)/ : () };
my %killed;
my @victims = (
	[ 'push', 4, sub { kill_one(running('seawall-push'), running('libexec/seawall-push')) } ],
	[ 'fetch', 3, sub { kill_one(grep { $_ != (background($standby) // 0) } running('seawall-fetch'), running('libexec/seawall-fetch')) } ],
	[ 'the process that fetches ahead', 3, sub { kill_one(background($standby) // ()) } ],
	[ 'the archiver', 1, sub { kill_one(map { /^\s*(\d+)/ } grep { /archiver/ } `ps -o pid=,args= --ppid @{[ $pg->pid // 0 ]}`) } ],
	[ 'the standby', 1, sub { return 0 unless $standby->pid; $standby->kill9; return 1 } ],
	[ 'the primary', 1, sub { return 0 unless $pg->pid; $pg->kill9; return 1 } ],
	[ 'the primary, immediately', 1, sub { return 0 unless $pg->pid; $pg->stop('immediate'); return 1 } ],
	[ 'the gateway', 1, sub { my $n = kill_one($gateway_pid->()); sleep rand 2; $s3->start; return $n } ],
);
my @hat = map { my $v = $_; ($v) x $v->[1] } @victims;

my ($load, $rounds, $end) = (undef, 0, time + $seconds);
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
ok(!(grep { !$killed{ $_->[0] } } @victims), "$rounds rounds, in which all were killed (seed $seed)");

# --- what is left ----------------------------------------------------------------------------------------

up($pg);
up($standby);
$pg->wait_for_sql('SELECT 1', 1, 120); # it may be in its crash recovery still
ok(drained($pg), 'the archiver comes to an end') or diag substr $pg->log_text, -3000;
ok(eval { wait_until('the standby', sub { up($standby); same_rows($standby) eq same_rows($pg) }, 180); 1 }, 'the standby has the same rows')
	or diag substr $standby->log_text, -3000;
cmp_ok(spool_bytes($standby), '<=', 32 << 20, '... its spool is within its budget');
unlike($_->log_text, qr/PANIC|incorrect data checksum|could not locate/, '... no server met what is wrong') for $pg, $standby;
$standby->stop;
left_behind($standby, '... and nothing is left behind');
is($pg->amcheck, '', 'the primary is sound');
$pg->stop;

my $got = fetched_back($aside, $config, $pg->pgdata, 3);
cmp_ok($got->{count}, '>', 10, "$got->{count} files are fetched back");
is(join(' ', @{ $got->{lost} }), '', '... none is lost');
is(join(' ', @{ $got->{different} }), '', '... none is different');
is(join(' ', @{ $got->{wrong} }), '', '... and none was answered wrongly');
my @segments = sort grep { /^[0-9A-F]{24}$/ } map { m{([^/]+)$} } glob "$aside/*";
my @numbers = map { hex(substr $_, 8, 8) * 4096 + hex(substr $_, 16) } @segments;
is($numbers[-1] - $numbers[0], $#numbers, '... there is no hole between them');
my %aside = map { $_ => 1 } map { m{([^/]+)$} } glob "$aside/*";
is(join(' ', grep { !$aside{ s{.*/}{}r =~ s/\.zst$//r } } grep { m{/wal/} } $repo->names), '', '... and the repository has nothing else');

# a recovery from the beginning
my $again = new_recovery(name => 'again', base => $base, repo => $repo, version => $version);
$again->start(timeout => 120);
recovered($again);
my $r = $pg->start && same_rows($pg);
is(same_rows($again), $r, 'a recovery from the base backup has the same rows');
is($again->amcheck, '', '... and is sound');
$_->stop for $again, $pg;
left_behind($again, '... and leaves nothing behind');
done_testing();
