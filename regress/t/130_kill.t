# kill -9 at every step: each request is made to hang in turn, and the client is killed while it waits.
# Nothing that is not whole becomes visible, and the same command run again succeeds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep);

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $site = new_site('kill', gateway => $s3, proxy => $proxy, segment_mb => 1, conf => "wal_keep_size = '200MB'\n");
my ($pg, $repo, $config) = @$site{qw(pg repo config)};
$pg->pgbench('-i', '-q', '-s', 2);
$pg->switch_and_wait;

# Kill COMMAND while its request number `step` is held back; false when there was no such request.
sub killed_at
{
	my ($step, @command) = @_;
	$proxy->clear;
	$proxy->rule("skip=$step hang");
	my $child = SeawallTest::spawn(@command, { cwd => $pg->pgdata, env => { SEAWALL_CONFIG => $config } });
	SeawallTest::wait_until("request $step or the end", sub {
		return $proxy->faulted || !SeawallTest::alive($child);
	}, 60);
	my $reached = $proxy->faulted > 0;
	sleep 0.02;   # let the other workers reach what they can reach
	kill 'KILL', -$child->{pid};
	my $r = SeawallTest::reap($child);
	$proxy->clear;
	return $reached && $r->{signal} == 9;
}

# Every visible object must be what a complete one is: zstd can read it to the end.
my %sound;
sub all_whole
{
	my ($name) = @_;
	my @bad;
	for my $object (grep { /\.(zst|pack|map)$/ && !$sound{$_} } $repo->names)
	{
		spew(path('object'), $repo->get($object));
		my $r = run('/usr/bin/zstd', '-tq', path('object'));
		if (defined $r->{status} && $r->{status} == 0) { $sound{$object} = 1 }
		else { push @bad, $object }
	}
	is("@bad", '', $name);
}

sub every_step
{
	my ($what, $command, $between, $most) = @_;
	my ($steps, $ended) = (0, 0);
	for my $step (0 .. $most)
	{
		$ended = !killed_at($step, $command->());
		last if $ended;
		$steps++;
		$between->($step);
	}
	cmp_ok($steps, '>=', 1, "$what was killed at $steps steps");
	ok($ended, '... which are all that it has');
}

# push
{
	my $file;
	my $next = sub {
		$pg->sql('INSERT INTO pgbench_history VALUES (1, 1, 1, 0)');
		$file = $pg->sql('SELECT pg_walfile_name(pg_switch_wal())');
	};
	$pg->append_conf("archive_command = '/bin/true'");
	$pg->reload;
	$next->();
	every_step('push', sub { return (program('seawall-push'), "pg_wal/$file") }, sub {
		my ($step) = @_;
		all_whole("push killed at request $step: all that is visible is whole");
		my $r = push_wal("pg_wal/$file", { config => $config, cwd => $pg->pgdata });
		is($r->{status}, 0, '... and the next push succeeds') or diag SeawallTest::describe($r);
		$next->();
	}, 20);

	# fetch
	push_wal("pg_wal/$file", { config => $config, cwd => $pg->pgdata });
	my $to = path('fetched');
	every_step('fetch', sub { return (program('seawall-fetch'), $file, $to) }, sub {
		my ($step) = @_;
		ok(!-e $to, "fetch killed at request $step: nothing is at %p");
	}, 20);
	unlink $to;   # the last of these was not killed
	$proxy->rule('method=GET key=/wal/ hang-response 200');
	my $child = SeawallTest::spawn(program('seawall-fetch'), $file, $to, { cwd => $pg->pgdata, env => { SEAWALL_CONFIG => $config } });
	SeawallTest::wait_until('half of it', sub { $proxy->faulted });
	sleep 0.1;
	kill 'KILL', $child->{pid};
	SeawallTest::reap($child);
	$proxy->clear;
	ok(!-e $to, 'fetch killed in mid-body: nothing is at %p');
	is(fetch_wal($file, $to, { config => $config, cwd => $pg->pgdata })->{status}, 0, '... and the next fetch succeeds');
	ok(slurp($to) eq slurp($pg->pgdata . "/pg_wal/$file"), '... with the right bytes');
	$pg->append_conf("archive_command = '" . program('seawall-push') . " --config $site->{direct} %p'");
	$pg->reload;
}

# A directory as repository has no proxy: stepped delays instead, over the time that a run takes.
{
	my $dir = SeawallTest::Repo->of_kind('file', 'killed', $s3);
	my $on_dir = write_config(path('dir.conf'), cluster => { pgdata => $pg->pgdata }, repos => [$dir]);
	seawall('init', { config => $on_dir });
	my @files = sort grep { /^[0-9A-F]{24}$/ } map { m{([^/]+)$} } glob($pg->pgdata . '/pg_wal/*');
	my $killed = 0;
	for my $n (0 .. 19)
	{
		my $file = $files[ $n % $#files ];
		my $child = SeawallTest::spawn(program('seawall-push'), "pg_wal/$file", { cwd => $pg->pgdata, env => { SEAWALL_CONFIG => $on_dir } });
		sleep 0.001 * $n;
		kill 'KILL', $child->{pid};
		$killed++ if SeawallTest::reap($child)->{signal} == 9;
		my @visible = grep { m{/wal/.*\.zst$} } $dir->names;
		my @bad = grep { run('/usr/bin/zstd', '-tq', "$dir->{file}/$_")->{status} != 0 } @visible;
		is("@bad", '', "push to a directory killed after $n ms: all that is visible is whole");
		is(push_wal("pg_wal/$file", { config => $on_dir, cwd => $pg->pgdata })->{status}, 0, '... and the next push succeeds');
		unlink map { "$dir->{file}/$_" } @visible, grep { m{/wal/} } $dir->names;
	}
	cmp_ok($killed, '>', 3, "$killed pushes were killed");
}

# backup
{
	my $label;
	my $n = 0;
	every_step('backup', sub { $label = 'k' . ++$n; return (program('seawall'), 'backup', '--label', $label) }, sub {
		my ($step) = @_;
		all_whole("backup killed at request $step: all that is visible is whole");
		my $listed = seawall('list', { config => $site->{direct} });
		my ($manifest) = grep { m{/backup/$label/manifest\.zst$} } $repo->names;
		ok($manifest ? 1 : $listed->{out} !~ /\b$label\b/, '... a backup without its manifest is not listed');
	}, 60);
	my $r = seawall('backup', '--label', 'good', { config => $config });
	is($r->{status}, 0, 'the next backup succeeds') or diag SeawallTest::describe($r);
	is($pg->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}), '0', '... and no session is left');
}

# restore
{
	my $dir = path('restored');
	my @restore = ('restore', '--backup', 'good', '--pgdata', $dir, '--target-immediate', '--target-action', 'promote');
	every_step('restore', sub { return (program('seawall'), @restore) }, sub {
		my ($step) = @_;
		# its last request tells how long it took, and is made when all is done
		ok(!-e "$dir/global/pg_control" || !-e "$dir/seawall_restore.json",
			"restore killed at request $step: what is half made cannot be started");
	}, 60);
	ok(-e "$dir/global/pg_control", 'the last one was not killed: it went on and finished');
	my $before = -M "$dir/global/pg_control";
	my $r = seawall(@restore, { config => $config });
	is($r->{status}, 2, 'a finished restore is refused as a directory that is not empty') or diag SeawallTest::describe($r);
	is(-M "$dir/global/pg_control", $before, '... and not touched');
	my $new = SeawallTest::Cluster->new(name => 'killed', from => $dir);
	$new->own_settings("archive_mode = off\n");
	ok($new->start(fail_ok => 1), '... it starts');
	$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60);
	is($new->sql('SELECT count(*) FROM pgbench_accounts'), '200000', '... with its rows');
	is($new->amcheck, '', '... sound');
	$new->stop;
}

done_testing();
