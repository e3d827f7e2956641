# A server under load archives through a network that fails in every way, and a standby follows through the same: the queue
# drains, every file comes back byte for byte as it was copied aside when it was archived, and the rows are the same.
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
my @storm = (
	'method=PUT probability=0.04 status 503',
	'method=PUT probability=0.01 status 503 retry-after=1',
	'method=PUT probability=0.04 reset-request 1000',
	'method=PUT probability=0.04 drop-answer',
	'method=PUT probability=0.04 flip-request 300',
	'method=GET probability=0.04 status 500 code=InternalError',
	'method=GET probability=0.04 cut 100',
	'method=GET key=/wal/ probability=0.04 flip -50',
	'method=GET probability=0.04 reset-response 100',
	'probability=0.01 hang',
	'probability=0.2 delay 80',
);

sub soak
{
	my ($version, $kind, $segment_mb, $seconds, $rate) = @_;
	my $what = "PostgreSQL $version, $kind bucket, segments of $segment_mb MB, $seconds s";
	my $s3 = SeawallTest::Gateway->new;
	my $proxy = SeawallTest::Proxy->new($s3);
	my $name = "soak$version$kind$segment_mb";
	my $repo = SeawallTest::Repo->of_kind('s3', $name, $s3, versioned => $kind eq 'versioned');
	my $faulty = SeawallTest::Repo->new(%$repo, proxy => $proxy,
		settings => { 'store-deadline' => '10s', 'store-stall-timeout' => '1s', 'store-connect-timeout' => '1s' });
	my $pg = SeawallTest::Cluster->new(name => $name, version => $version, segment_mb => $segment_mb,
		conf => "max_wal_size = '64MB'\nmin_wal_size = '32MB'\ncheckpoint_timeout = '30s'\n");
	my $options = { pgdata => $pg->pgdata, 'pg-host' => $pg->sockets, 'pg-user' => 'postgres' };
	my $direct = write_config(path("$name-direct.conf"), cluster => $options, repos => [$repo]);
	my $config = write_config(path("$name.conf"), cluster => $options, repos => [$faulty]);
	my $aside = SeawallTest::make_dir(path("$name-aside"));
	my $command = sub { return "archive_mode = on\narchive_command = '"
		. wrapped([ aside => $aside ], program('seawall-push'), '--config', $_[0], '%p') . "'" };
	$pg->append_conf($command->($direct));
	$pg->start;
	run_ok(program('seawall'), 'init', { env => { SEAWALL_CONFIG => $direct } });
	$pg->pgbench('-i', '-q', '-s', 2);
	my $base = backup_of($pg, path("$name-base"));
	my $standby = new_recovery(name => "$name-standby", base => $base, repo => $repo, version => $version, proxy => $proxy, standby => 1,
		conf => "recovery_target_timeline = 'latest'\nwal_retrieve_retry_interval = '200ms'\n", cluster => { 'standby-outage-wait' => '2s' });
	$pg->append_conf($command->($config));
	$pg->reload;
	$proxy->tell("seed $seed");
	$proxy->rule($_) for @storm;
	$standby->start;

	my ($most, $end) = (0, time + $seconds);
	my $load = load_on($pg, '-c', 4, '-T', $seconds, $rate ? ('-R', $rate) : ());
	while (SeawallTest::alive($load))
	{
		my $queue = queue_of($pg);
		$most = $queue if $queue > $most;
		sleep 0.2;
	}
	my $r = SeawallTest::reap($load);
	is($r->{status}, 0, "$what: the load runs to its end") or diag SeawallTest::describe($r);
	ok(drained($pg), '... the archiver keeps up') or diag substr $pg->log_text, -2000;
	my $faulted = $proxy->faulted;
	cmp_ok($faulted, '>', 10, "... through $faulted faults; at most $most files were waiting");
	ok(eval { wait_until('the standby', sub { same_rows($standby) eq same_rows($pg) }, 180); 1 },
		'... the standby that follows through them has the same rows') or diag substr $standby->log_text, -2000;
	ok($standby->pid, '... and lives');
	$standby->stop;
	left_behind($standby, '... and leaves nothing behind');
	$pg->stop;

	for my $way ([ 'directly', $direct, 1 ], [ 'through the storm', $config, 50 ])
	{
		my ($how, $with, $tries) = @$way;
		my $got = fetched_back($aside, $with, $pg->pgdata, $tries);
		cmp_ok($got->{count}, '>', 10, "$got->{count} files are fetched back $how");
		is(join(' ', @{ $got->{lost} }), '', '... none is lost');
		is(join(' ', @{ $got->{different} }), '', '... none is different');
		is(join(' ', @{ $got->{wrong} }), '', '... what fails is 126 and leaves nothing') or diag substr slurp(path('back.err')), -2000;
	}
	my @segments = sort grep { /^[0-9A-F]{24}$/ } map { m{([^/]+)$} } glob "$aside/*";
	my @numbers = map { hex(substr $_, 8, 8) * (4096 / $segment_mb) + hex(substr $_, 16) } @segments;
	is($numbers[-1] - $numbers[0], $#numbers, '... and there is no hole between them');
	$s3->stop;
	SeawallTest::remove_tree($_) for $pg->pgdata, $standby->pgdata, $base, $aside;
	return;
}

if (long_tests())
{
	soak(15, 'plain', 1, 120, 2000);
	soak(15, 'versioned', 16, 120, 0);
	soak(18, 'plain', 16, 60, 0);
}
else { soak((versions())[0], 'plain', 1, 8, 0) }
done_testing();
