# One call of seawall-push archives what follows too; the next calls are answered from the ledger, if nothing is odd.
use strict;
use warnings;
use Fcntl qw(:flock);
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $seed = $ENV{SEAWALL_TEST_SEED} // time % 100000 | 0;
srand $seed;
diag "seed $seed";

sub system_id_of
{
	my ($pg) = @_;
	return run_ok('/usr/lib/postgresql/15/bin/pg_controldata', $pg->pgdata) =~ /system identifier:\s+(\d+)/ ? $1 : die;
}

sub ready_of { my ($dir) = @_; return map { m{([^/]+)\.ready$} } sort glob("$dir/pg_wal/archive_status/*.ready") }

# A stopped cluster whose archiver never worked: its segments all wait.
my $pg = SeawallTest::Cluster->new(name => 'quiet', segment_mb => 1,
	conf => "archive_mode = on\narchive_command = '/bin/false'\nautovacuum = off\nmax_wal_size = '1GB'\n");
$pg->start;
for my $n (1 .. 44)
{
	$pg->sql("CREATE TABLE t$n AS SELECT g, repeat('x', 50) FROM generate_series(1, 2000) g; SELECT pg_switch_wal()");
}
$pg->stop('immediate');
my $data = $pg->pgdata;
my $system_id = system_id_of($pg);
my @ready = ready_of($data);
cmp_ok(scalar @ready, '>=', 44, 'segments wait') or BAIL_OUT('no segments');

my $serial = 0;
my ($repo, $config, $last);
sub spool { return "$_[0]/pg_wal/seawall.spool/push/$system_id" }
sub entries { my ($dir) = @_; return map { m{/([^/]+)$} } grep { !m{/lock$} } sort glob(spool($dir // $data) . '/*') }
sub object { my ($file) = @_; return "main/$system_id/wal/" . substr($file, 0, 8) . "/$file.zst" }

# A new repository behind the proxy, and no ledger.
sub fresh
{
	$proxy->clear;
	$repo = SeawallTest::Repo->of_kind('s3', 'ahead' . ++$serial, $s3, proxy => $proxy);
	$repo->{settings} = { 'store-deadline' => '1s' };
	$config = write_config(path("ahead$serial.conf"), cluster => { pgdata => $data }, repos => [$repo]);
	SeawallTest::remove_tree("$data/pg_wal/seawall.spool");
	my $r = seawall('init', { config => $config });
	die SeawallTest::describe($r) if $r->{status} != 0;
	$proxy->clear;
	return;
}

sub push_status
{
	my ($file, @option) = @_;
	my $dir = ref $option[-1] ? (pop @option)->{dir} : $data;
	$last = push_wal(@option, "pg_wal/$file", { config => $config, cwd => $dir });
	return $last->{status} // "signal $last->{signal}";
}

sub content
{
	my ($name) = @_;
	spew(path('object.zst'), $repo->get($name));
	return run_ok('/usr/bin/zstd', '-dcq', path('object.zst'));
}

# Everything that the ledger speaks of is archived, with its bytes.
sub ledger_is_true
{
	my ($name) = @_;
	my %there = map { $_ => 1 } $repo->names;
	my @lies = grep { !$there{object($_)} || content(object($_)) ne slurp("$data/pg_wal/$_") }
		grep { !/^tmp\./ } entries();
	is("@lies", '', $name);
	return;
}

sub all_is_right
{
	my ($name, @files) = @_;
	my %there = map { $_ => 1 } $repo->names;
	my @wrong = grep { !$there{object($_)} || content(object($_)) ne slurp("$data/pg_wal/$_") } @files;
	is("@wrong", '', $name);
	return;
}

sub test_links
{
	my $push = program('seawall-push');
	my @needs = sort map { /^\s*(\S+)/ } split /\n/, run_ok('/usr/bin/ldd', $push);
	SKIP:
	{
		skip 'sanitizers need what they need', 1 if grep { /libasan/ } @needs;
		is_deeply([ grep { !/^(linux-vdso|libc\.so|\/lib\S*ld-linux)/ } @needs ], [], 'seawall-push needs libc alone') or diag "@needs";
	}
	my $alone = SeawallTest::make_dir(path('alone'));
	File::Copy::copy($push, "$alone/seawall-push");
	chmod 0755, "$alone/seawall-push";
	fresh();
	$last = run("$alone/seawall-push", "pg_wal/$ready[0]", { cwd => $data, env => { SEAWALL_CONFIG => $config } });
	is($last->{status}, 1, 'without its helper it fails');
	like($last->{err}, qr{helper seawall-push is neither in \S+/libexec/seawall nor}, '... and says what is missing');
	is_one_line($last->{err}, '... in one line');
	return;
}

sub test_hits
{
	fresh();
	is(push_status($ready[0]), 0, 'a first call') or diag SeawallTest::describe($last);
	is_deeply([ entries() ], [ @ready[1 .. 32] ], '... archives the 32 files that follow, and notes them');
	is($proxy->count('method=PUT'), 33, '... with one request each');
	all_is_right('... whole', @ready[0 .. 32]);
	is((stat "$data/pg_wal/seawall.spool")[2] & 07777, 0700, '... in a directory that nobody else sees');
	is(join(' ', ready_of($data)), "@ready", '... and leaves .ready alone');

	$proxy->clear;
	my @ms;
	my $bad = 0;
	for my $file (@ready[1 .. 30])
	{
		my $start = time;
		$bad++ if push_status($file) != 0 || $last->{err} ne '';
		push @ms, 1000 * (time - $start);
	}
	is($bad, 0, 'calls for those succeed in silence');
	is($proxy->count(''), 0, '... without a request');
	is_deeply([ entries() ], [ @ready[31 .. 32] ], '... and are forgotten then');
	diag sprintf 'an answer from the ledger: %.1f ms, with this test\'s fork', (sort { $a <=> $b } @ms)[ @ms / 2 ];
	is(push_status($ready[1], '--push-ahead=0'), 0, 'asked again, it is pushed again');
	is($last->{err}, '', '... and recognised: the object has the same bytes, however many threads made it');
	cmp_ok($proxy->count('method=PUT'), '>=', 1, '... by the store');
	is(push_status($ready[33]), 0, 'behind the last noted one');
	is_deeply([ entries() ], [ @ready[31 .. 32, 34 .. $#ready] ], '... the next are archived');
	return;
}

# While the first file is on its way the others' connections are made, and nothing else.
sub test_connections
{
	fresh();
	$proxy->rule('method=PUT count=1 delay 1500');
	is(push_status($ready[0], '--push-workers=4', '--push-ahead=8'), 0, 'a first file that takes long');
	my @requests = map { /^(\S+)/ } $proxy->requests;
	my @puts = grep { $requests[$_] eq 'PUT' } 0 .. $#requests;
	my @heads = grep { $requests[$_] eq 'HEAD' } 0 .. $#requests;
	is(scalar @heads, 3, '... each other connection is made');
	cmp_ok($heads[-1] // 99, '<', $puts[1], '... before the next file is put');
	like(($proxy->requests)[$puts[0]], qr/$ready[0]/, '... which comes behind it');
	return;
}

# What makes an entry count for nothing: every one of these asks the store.
sub test_identity
{
	my $file = $ready[3];
	my $path = "$data/pg_wal/$file";
	my $entry = spool($data) . "/$file";
	my $keep = path('kept');
	run_ok('/bin/cp', '-p', $path, $keep);
	my %odd = (
		'touched' => sub { utime time, time, $path },
		'copied over itself' => sub { run_ok('/bin/cp', '-p', $keep, "$path.new"); rename "$path.new", $path },
		'its mode changed' => sub { chmod 0640, $path; chmod 0600, $path },
		'a flipped bit in the entry' => sub { my $b = slurp($entry); substr($b, rand length $b, 1) ^= chr(1 << rand 8); spew($entry, $b) },
		'a cut entry' => sub { spew($entry, substr slurp($entry), 0, 100) },
		'an empty entry' => sub { spew($entry, '') },
		'more behind the entry' => sub { append($entry, 'x') },
		'another entry' => sub { spew($entry, slurp(spool($data) . "/$ready[4]")) },
		'a link' => sub { rename $entry, "$entry.x"; symlink "$entry.x", $entry },
		'a directory' => sub { unlink $entry; SeawallTest::make_dir($entry) },
		'the entry of another owner' => $> != 0 ? undef : sub { chown 1, 1, $entry },
	);
	for my $what (sort keys %odd)
	{
		next unless $odd{$what};
		fresh();
		push_status($ready[0], '--push-ahead=8');
		ok(-e $entry, "$what: noted") or next;
		$odd{$what}->();
		$proxy->clear;
		is(push_status($file, '--push-ahead=0'), 0, '... the call succeeds') or diag SeawallTest::describe($last);
		cmp_ok($proxy->count('method=PUT'), '>', 0, '... by asking the store');
		rmdir $entry;
	}

	fresh();
	push_status($ready[0]);
	my $bytes = slurp($keep);
	substr($bytes, 200_000, 1) ^= "\x10";
	my @times = (stat $path)[8, 9];
	spew($path, $bytes);
	utime @times, $path;
	is(push_status($file, '--push-ahead=0', '--push-validate=warn'), 1, 'other bytes under the name, with its size and times');
	like($last->{err}, qr/different from LSN/, '... are a conflict');
	spew($path, slurp($keep));

	fresh();
	push_status($ready[0]);
	for my $option ([ "--s3-region=elsewhere" ], [ '--s3-profile=other' ], [ '--push-spool=' . path('nospool') ])
	{
		$proxy->clear;
		push_status($ready[5], '--push-ahead=0', @$option);
		cmp_ok($proxy->count(''), '>', 0, "another configuration (@$option) has no such entry");
	}
	my $copy = path('copy');
	run_ok('/bin/cp', '-a', $data, $copy);
	ok(-e spool($copy) . "/$ready[6]", 'a copied data directory has the ledger');
	$proxy->clear;
	my $of_copy = write_config(path('copy.conf'), cluster => { pgdata => $copy }, repos => [$repo]);
	$last = push_wal('--push-ahead=0', "pg_wal/$ready[6]", { config => $of_copy, cwd => $copy });
	is($last->{status}, 0, '... pushes the same file');
	cmp_ok($proxy->count('method=PUT'), '>', 0, '... but does not believe the ledger');
	SeawallTest::remove_tree($copy);
	return;
}

sub status_file { return "$data/pg_wal/archive_status/$_[0].ready" }

sub test_what_follows
{
	fresh();
	unlink status_file($ready[2]);
	push_status($ready[0], '--push-ahead=4');
	is_deeply([ entries() ], [ @ready[1, 3 .. 5] ], 'what is not ready is left out');
	ok(!(grep { $_ eq object($ready[2]) } $repo->names), '... and not archived');
	unlink status_file($ready[4]);
	push_status($ready[6], '--push-ahead=1');
	is_deeply([ entries() ], [ @ready[1, 3, 5, 7] ], 'an entry that nobody will ask for goes');
	spew(status_file($_), '') for @ready[2, 4];

	fresh();
	my $label = "$ready[0].00000028.backup";
	spew("$data/pg_wal/$label", "START WAL LOCATION: 0/2000028 (file $ready[0])\n");
	spew(status_file($label), '');
	push_status($ready[0], '--push-ahead=2');
	is_deeply([ entries() ], [ $label, $ready[1] ], 'a backup history file follows too');
	is(push_status($label), 0, '... and is answered');
	unlink status_file($label), "$data/pg_wal/$label";

	fresh();
	my $history = '00000002.history';
	spew("$data/pg_wal/$history", "1\t0/3000000\tno recovery target specified\n");
	spew(status_file($history), '');
	is(push_status($ready[0]), 0, 'while a history waits');
	is_deeply([ entries() ], [], '... nothing is archived ahead');
	is(push_status($history), 0, '... nor with the history');
	is_deeply([ entries() ], [], '... which goes alone');
	unlink status_file($history), "$data/pg_wal/$history";

	fresh();
	unlink status_file($ready[0]);
	is(push_status($ready[0]), 0, 'called by hand, for a file that does not wait');
	ok(!-e "$data/pg_wal/seawall.spool", '... nothing is done ahead');
	spew(status_file($ready[0]), '');
	my $spool = SeawallTest::make_dir(path('spool'));
	chmod 0700, $spool;
	is(push_status($ready[0], "--push-spool=$spool", '--push-ahead=3', '--push-workers=2'), 0, 'another spool');
	is(scalar(grep { !/lock$/ } glob "$spool/push/$system_id/*"), 3, '... is used');
	chmod 0777, "$spool/push/$system_id";
	is(push_status($ready[4], "--push-spool=$spool"), 0, 'a spool that others may write in');
	like($last->{err}, qr/warning: nothing is archived ahead: .*only its owner/, '... is not used');
	return;
}

sub test_failures
{
	fresh();
	$proxy->rule("method=PUT key=$ready[0] status 503");
	is(push_status($ready[0]), 1, 'a file that cannot be stored');
	is($proxy->count('method=PUT'), $proxy->count("method=PUT key=$ready[0]"), '... lets no other before it');
	is_deeply([ entries() ], [], '... and nothing is noted');
	$proxy->clear;
	$proxy->rule('method=PUT skip=6 status 503');
	is(push_status($ready[0]), 0, 'a store that goes down behind the sixth file');
	is(scalar(() = $last->{err} =~ /was not archived ahead/g), 1, '... is told once') or diag $last->{err};
	is(scalar entries(), 5, '... and what it took is noted');
	ledger_is_true('... truly');
	$proxy->clear;
	$proxy->rule('probability=0.2 status 503');
	is(join(' ', map { push_status($_, '--store-deadline=30s') } @ready[1 .. 20]), join(' ', (0) x 20), 'through a store that fails now and then');
	$proxy->clear;
	is(join(' ', map { push_status($_) } @ready[1 .. $#ready]), join(' ', (0) x $#ready), '... and when it is sound again');
	all_is_right('... all is there', @ready);

	fresh();
	my $odd = "$data/pg_wal/$ready[3]";
	my $bytes = slurp($odd);
	run_ok('/bin/cp', '-p', $odd, path('sound'));
	my $broken = $bytes;
	substr($broken, 100_000, 1) ^= "\x01";
	spew($odd, $broken);
	is(push_status($ready[0]), 0, 'a damaged file that follows');
	like($last->{err}, qr/warning: $ready[3] was not archived ahead: .*damaged/, '... is told');
	ok(!(grep { $_ eq object($ready[3]) } $repo->names), '... and not archived');
	is(push_status($ready[3]), 1, '... and refused when its turn comes');
	spew($odd, $bytes);
	return;
}

# Spawned as the archiver would; its helper is the same process.
sub start_push
{
	my ($file, @option) = @_;
	return spawn(program('seawall-push'), '--config', $config, @option, "pg_wal/$file", { cwd => $data });
}

sub test_ends
{
	fresh();
	$proxy->rule('method=PUT skip=1 hang');
	my $start = time;
	is(push_status($ready[0], '--push-ahead-time=300ms'), 0, 'what hangs ahead is given up');
	cmp_ok(time - $start, '<', 5, '... in time');
	ledger_is_true('... and not noted');

	for my $signal (qw(TERM INT))
	{
		fresh();
		$proxy->rule('method=PUT skip=1 hang');
		my $child = start_push($ready[0]);
		wait_until('the first', sub { $proxy->count('method=PUT') > 1 }, 20);
		kill $signal, $child->{pid};
		$last = SeawallTest::reap($child, 20);
		is($last->{status}, 0, "SIG$signal behind the first file: it is archived, and that is said");
		cmp_ok($last->{seconds}, '<', 8, '... soon');
		fresh();
		$proxy->rule('method=PUT hang');
		$child = start_push($ready[0]);
		wait_until('the first', sub { $proxy->count('method=PUT') > 0 }, 20);
		kill $signal, $child->{pid};
		$last = SeawallTest::reap($child, 20);
		is($last->{status}, 1, "SIG$signal before it: failed");
		like($last->{err}, qr/stopped by SIG$signal/, '... and says so');
	}
	return;
}

sub test_lock
{
	fresh();
	push_status($ready[0], '--push-ahead=1');
	open my $lock, '+<', spool($data) . '/lock' or die "lock: $!";
	flock $lock, LOCK_EX or die;
	my $start = time;
	is(push_status($ready[5], '--push-ahead-time=500ms'), 0, 'while another helper has the lock');
	cmp_ok(time - $start, '>', 0.5, '... it is waited for');
	like($last->{err}, qr/nothing is archived ahead: .*held by another/, '... and said');
	is_deeply([ entries() ], [ $ready[1] ], '... and the file goes alone');
	close $lock;

	fresh();
	$proxy->rule('method=PUT delay 300');
	my $orphan = start_push($ready[0], '--push-ahead=3');
	wait_until('the orphan', sub { $proxy->count('method=PUT') > 0 }, 20);
	is(push_status($ready[1]), 0, 'a call for what another helper is about to put');
	is(SeawallTest::reap($orphan)->{status}, 0, '... waits for that');
	is($proxy->count("method=PUT key=$ready[1]"), 1, '... and does not repeat it');
	return;
}

# An archiver was killed, its helper goes on; its successor has had the file archived, and PostgreSQL recycles it.
sub test_recycled
{
	fresh();
	$proxy->rule('method=GET key=cluster.json delay 1500');
	my $orphan = start_push($ready[0], '--push-ahead=3');
	wait_until('the helper', sub { $proxy->count('key=cluster.json') > 0 }, 20);
	sleep 0.7;
	unlink status_file($ready[1]);
	rename "$data/pg_wal/$ready[2]", "$data/pg_wal/recycled";
	run_ok('/bin/cp', '-p', "$data/pg_wal/$ready[3]", path('third'));
	spew("$data/pg_wal/$ready[3]", slurp("$data/pg_wal/$ready[4]"));
	$last = SeawallTest::reap($orphan);
	is($last->{status}, 0, 'files that go while they wait to be put');
	my %there = map { $_ => 1 } $repo->names;
	is(join(' ', grep { $there{object($_)} } @ready[1 .. 3]), '', '... are not put');
	is_deeply([ entries() ], [], '... nor noted');
	rename "$data/pg_wal/recycled", "$data/pg_wal/$ready[2]";
	spew("$data/pg_wal/$ready[3]", slurp(path('third')));
	spew(status_file($ready[1]), '');

	fresh();
	$proxy->rule('method=GET key=cluster.json delay 1000');
	$orphan = start_push($ready[0], '--push-ahead=3');
	wait_until('the helper', sub { $proxy->count('key=cluster.json') > 0 }, 20);
	sleep 0.5;
	unlink status_file($ready[0]);
	$last = SeawallTest::reap($orphan);
	is($last->{status}, 1, 'so is the file itself');
	like($last->{err}, qr/another archiver/, '... which is said');
	spew(status_file($ready[0]), '');
	is($proxy->count('method=PUT'), 0, '... and nothing is put');
	return;
}

sub test_kill
{
	fresh();
	$proxy->rule('method=PUT delay 20');
	my $n = 0;
	for my $round (1 .. 40)
	{
		my $child = start_push($ready[$n], '--push-ahead=6');
		sleep rand 0.25;
		kill 'KILL', -$child->{pid};
		SeawallTest::reap($child);
		if ($round % 8 == 0)
		{
			ledger_is_true("round $round of kill -9: the ledger is true");
			is(push_status($ready[$n++], '--push-ahead=6'), 0, '... and the next call succeeds') or diag SeawallTest::describe($last);
		}
	}
	$proxy->clear;
	my @failed = grep { push_status($_) != 0 } @ready;
	is("@failed", '', 'after all of that everything is archived');
	all_is_right('... right', @ready);
	is(join(' ', entries()), '', '... and nothing lies about');
	return;
}

# A server's own archiver, with more to do than it can do one by one.
sub test_server
{
	my ($mb, $rows) = @_;
	my $site_proxy = SeawallTest::Proxy->new($s3);
	my $site = SeawallTest::new_site("burst$mb", kind => 's3', gateway => $s3, proxy => $site_proxy, segment_mb => $mb,
		conf => "wal_keep_size = '4GB'\nmax_wal_size = '4GB'\nautovacuum = off\n");
	my $server = $site->{pg};
	my $dir = $server->pgdata;
	$server->append_conf("archive_command = '/bin/false'\n");
	$server->reload;
	my $put = sub {
		my ($count) = @_;
		$server->sql("CREATE TABLE IF NOT EXISTS b (g int, x text); INSERT INTO b SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, $rows) g;"
			. 'SELECT pg_switch_wal()') for 1 .. $count;
	};
	my $count = $mb == 1 ? 70 : 20;
	$put->($count);
	my $waiting = () = ready_of($dir);
	cmp_ok($waiting, '>=', $count, "segments of $mb MB: $waiting wait");
	$server->append_conf("archive_command = '@{[ program('seawall-push') ]} --config $site->{config} %p'\n");
	$server->reload;
	$server->switch_and_wait;
	$waiting = $server->sql('SELECT archived_count FROM pg_stat_archiver');
	cmp_ok($site_proxy->count('method=GET key=cluster.json'), '<', $waiting / 3, '... most calls ask no store');
	is($site_proxy->count('method=PUT'), $site_proxy->faulted('method=PUT') + $waiting, '... and each file is put once');

	my $killed = 0;
	for my $round (1 .. 6)
	{
		$put->($mb == 1 ? 6 : 2);
		for my $pid (map { m{/proc/(\d+)/exe} } grep { (readlink $_ // '') =~ m{/libexec/seawall-push} } glob '/proc/[0-9]*/exe')
		{
			next unless (readlink "/proc/$pid/cwd" // '') eq Cwd::abs_path($dir);
			$killed += kill 'KILL', $pid;
		}
		$server->stop('immediate'), $server->start if $round == 3;
		$server->kill9, $server->start if $round == 5;
	}
	$server->switch_and_wait;
	diag "$killed helpers killed";
	my $id = system_id_of($server);
	my ($bad, $seen) = (0, 0);
	my %there = map { $_ => 1 } $site->{repo}->names;
	for my $done (map { m{([0-9A-F]{24})\.done$} } glob "$dir/pg_wal/archive_status/*.done")
	{
		my $name = "main/$id/wal/" . substr($done, 0, 8) . "/$done.zst";
		spew(path('object.zst'), $there{$name} ? $site->{repo}->get($name) : '');
		$seen++;
		$bad++ if !$there{$name} || run_ok('/usr/bin/zstd', '-dcq', path('object.zst')) ne slurp("$dir/pg_wal/$done");
	}
	is($bad, 0, "... all of $seen are archived, byte for byte, through kills, an immediate stop and a crash");
	ok(-d "$dir/pg_wal/seawall.spool", '... by way of a ledger');
	run_ok("$server->{bin}/pg_basebackup", '-D', path("base$mb"), '-d', $server->conninfo, '-X', 'none', '--no-sync', '-c', 'fast');
	ok(!-e path("base$mb", 'pg_wal', 'seawall.spool'), '... which pg_basebackup leaves out');
	$server->restart;
	unlike($server->log_text, qr/seawall\.spool/, '... and the server never speaks of');
	$server->stop;
	SeawallTest::remove_tree($dir);
	return;
}

test_links();
test_hits();
test_connections();
test_identity();
test_what_follows();
test_failures();
test_ends();
test_lock();
test_recycled();
test_kill();
test_server(1, 5000);
test_server(16, 100000);
done_testing();
