# push-queue-max: in an outage WAL is dropped only beyond the limit and after a durable record of it, and nobody who looks
# at the repository can miss it until a new backup.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use POSIX ();
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $seed = $ENV{SEAWALL_TEST_SEED} // time % 100000 | 0;
srand $seed;
diag "seed $seed";

use constant MB => 1048576;
my $limit = 4 * MB;
my $record_name = qr/^([0-9A-F]{24})-([0-9A-F]{24})-\d{8}T\d{6}Z-[0-9a-f]{8}\.json$/;

# --- a stopped server whose segments all wait: push, call by call ----------------------------

my $pg = SeawallTest::Cluster->new(name => 'quiet', segment_mb => 1,
	conf => "archive_mode = on\narchive_command = '/bin/false'\nautovacuum = off\nmax_wal_size = '1GB'\n");
$pg->start;
$pg->sql("CREATE TABLE t$_ AS SELECT g, repeat('x', 50) FROM generate_series(1, 2000) g; SELECT pg_switch_wal()") for 1 .. 14;
$pg->stop('immediate');
my $data = $pg->pgdata;
my $status_dir = "$data/pg_wal/archive_status";
my ($system_id) = run_ok("$pg->{bin}/pg_controldata", $data) =~ /system identifier:\s+(\d+)/;
my @ready = map { m{([^/]+)\.ready$} } sort glob("$status_dir/*.ready");
cmp_ok(scalar @ready, '>=', 14, 'segments wait') or BAIL_OUT('no segments');

my ($serial, $repo, $config, $last) = (0);
sub spool { return "$data/pg_wal/seawall.spool/gaps/$system_id" }
sub records { my ($dir) = @_; return grep { $_ =~ $record_name } map { m{([^/]+)$} } sort glob(($dir // spool()) . '/*') }
sub object { my ($file) = @_; return "main/$system_id/wal/" . substr($file, 0, 8) . "/$file.zst" }
sub told { my ($from) = @_; return map { m{/gaps/(.*)} } ($from // $repo)->names }
sub is_there { my ($file, $from) = @_; return scalar grep { $_ eq object($file) } ($from // $repo)->names }
sub down { $proxy->rule('status 503') }

# As PostgreSQL marks what it was told is archived.
sub done { my ($file) = @_; return unlink "$status_dir/$file.ready" }

# A new repository behind the proxy, an empty spool, and all segments waiting again.
sub fresh
{
	my ($settings) = @_;
	$proxy->clear;
	$repo = SeawallTest::Repo->of_kind('s3', 'gaps' . ++$serial, $s3, proxy => $proxy);
	$repo->{settings} = { 'store-deadline' => '200ms' };
	$config = write_config(path("gaps$serial.conf"),
		cluster => { pgdata => $data, 'push-queue-max' => $limit, %{ $settings // {} } }, repos => [$repo]);
	SeawallTest::remove_tree("$data/pg_wal/seawall.spool") if -e "$data/pg_wal/seawall.spool";
	spew("$status_dir/$_.ready", '') for @ready;
	my $r = seawall('init', { config => $config });
	die SeawallTest::describe($r) if $r->{status} != 0;
	$proxy->clear;
	return;
}

sub push_status
{
	my ($file, @option) = @_;
	$last = push_wal(@option, "pg_wal/$file", { config => $config, cwd => $data });
	return $last->{status} // "signal $last->{signal}";
}

sub only_waiting { my (@files) = @_; my %keep = map { $_ => 1 } @files; done($_) for grep { !$keep{$_} } @ready; return }

sub test_limit
{
	fresh();
	down();
	only_waiting(@ready[0 .. 3]);
	is(push_status($ready[0]), 1, 'an outage with as much as the limit waiting');
	is_deeply([ records() ], [], '... drops nothing');
	spew("$status_dir/$ready[4].ready", '');
	is(push_status($ready[0], '--push-queue-max=5MB'), 1, '... nor does a higher limit with more');

	is(push_status($ready[0]), 0, 'beyond the limit the segment is dropped') or diag SeawallTest::describe($last);
	like($last->{err}, qr/^seawall-push: error: $ready[0] IS DROPPED, not archived, because 5 MiB of WAL wait and push-queue-max is 4 MiB: .*503.*seawall backup/m,
		'... and that is said as an error');
	my ($record) = records();
	is(scalar(records()), 1, '... there is one record');
	like($record, qr/^$ready[0]-$ready[0]-/, '... of that one segment');
	is((stat spool() . "/$record")[2] & 07777, 0600, '... that nobody else reads');
	my $bytes = slurp(spool() . "/$record");
	my $says = decode_json($bytes);
	is_deeply([ @$says{qw(seawall version system_identifier timeline segment_size first last queue queue_max)} ],
		[ 'gap', 1, $system_id, 1, MB, $ready[0], $ready[0], 5 * MB, 4 * MB ], '... it says what and how much')
		or diag explain $says;
	like($says->{why}, qr/503/, '... and why');
	is($says->{origin}{pgdata}, $data, '... and where');
	done($ready[0]);
	is(push_status($ready[1]), 1, 'at the limit again, the next one is kept');
	is(scalar(records()), 1, '... without a record');
	ok(!grep({ /\.tmp\./ } glob spool() . '/*'), '... and nothing half lies about');

	$proxy->clear;
	is(push_status($ready[1]), 0, 'when the store is back, the next one is archived');
	is_deeply([ told() ], [$record], '... and the record is there');
	is($repo->get("main/$system_id/gaps/$record"), $bytes, '... with the same bytes');
	is_deeply([ glob spool() . '/*' ], [], '... and no longer here');
	my @put = map { (split)[1] } grep { /^PUT/ } $proxy->requests;
	like($put[0], qr{/gaps/}, '... it went first');
	ok(!is_there($ready[0]) && is_there($ready[1]), '... what was dropped is not there, the next is');
	is(push_status($ready[0]), 0, 'what was dropped may still be archived');
	ok(is_there($ready[0]), '... is there then, and the record does not keep it from that');
	return;
}

sub test_run
{
	fresh();
	down();
	is(push_status($ready[0]), 0, 'far beyond the limit');
	my $count = @ready - 4;
	is_deeply([ map { (/$record_name/)[1] } records() ], [ $ready[$count - 1] ], "... one record has the $count segments beyond it");
	done($ready[0]);
	my $asked = $proxy->count('');
	my @status = map { my $s = push_status($_); done($_) if $s == 0; "$s" . ($last->{err} =~ /error: $_ IS DROPPED/ ? '!' : '') } @ready[1 .. $count - 1];
	is("@status", join(' ', ('0!') x ($count - 1)), '... the calls that follow drop them, and each says so');
	is($proxy->count(''), $asked, '... without trying the store again');
	is(scalar(records()), 1, '... nor another record');
	is(push_status($ready[$count]), 1, '... down to the limit');
	cmp_ok($proxy->count(''), '>', $asked, '... and the store is tried for the next');

	fresh();
	only_waiting(@ready[0, 1, 3 .. 7]);
	down();
	is(push_status($ready[0]), 0, 'where one of the segments does not wait');
	is_deeply([ map { (/$record_name/)[1] } records() ], [ $ready[1] ], '... the record ends before it');
	utime 1, 1, spool() . '/' . (records())[0];
	my $old = (records())[0];
	(my $older = $old) =~ s/-\d{8}T/-20200101T/;
	rename spool() . "/$old", spool() . "/$older";
	$proxy->tell('forget');
	is(push_status($ready[1]), 0, 'a record that is not of this minute');
	cmp_ok($proxy->count(''), '>', 0, '... does not keep the store from being tried');
	return;
}

# What is no outage, and what is never dropped.
sub test_never
{
	fresh();
	is(push_status($ready[0], '--push-ahead=0'), 0, 'with a store that works, a full queue');
	is_deeply([ records() ], [], '... drops nothing');
	ok(is_there($ready[0]), '... and archives');

	my $mine = slurp("$data/pg_wal/$ready[1]");
	my $other = $mine;
	substr($other, 200_000, 1) ^= "\x10";
	run_ok('/bin/cp', '-p', "$data/pg_wal/$ready[1]", path('kept'));
	spew("$data/pg_wal/$ready[1]", $other);
	is(push_status($ready[1], '--push-ahead=0'), 1, 'damaged WAL is not dropped');
	$proxy->rule("method=GET key=cluster.json status 503");
	is(push_status($ready[1], '--push-ahead=0'), 1, '... in an outage neither');
	like($last->{err}, qr/damaged/, '... and said');
	$proxy->clear;
	is(push_status($ready[2], '--push-ahead=0'), 0, 'another segment') or diag SeawallTest::describe($last);
	spew("$data/pg_wal/$ready[1]", $mine);
	is(push_status($ready[1], '--push-ahead=0'), 0, 'a sound one');
	spew("$data/pg_wal/$ready[1]", $other);
	is(push_status($ready[1], '--push-ahead=0', '--push-validate=warn'), 1, 'a conflict is not dropped');
	like($last->{err}, qr/different from LSN/, '... but explained');
	$proxy->rule("method=GET key=$ready[1].zst status 503");
	is(push_status($ready[1], '--push-ahead=0', '--push-validate=warn'), 1, '... nor one whose other side cannot be read');
	$proxy->clear;
	run_ok('/bin/cp', '-p', path('kept'), "$data/pg_wal/$ready[1]");

	is(push_status($ready[3], '--cluster=other'), 1, 'a cluster that is not registered drops nothing');
	down();
	done($ready[3]);
	is(push_status($ready[3]), 1, 'a segment that does not wait, pushed by hand, is not dropped');
	spew("$status_dir/$ready[3].ready", '');
	is(push_status($ready[3], '--log-level=error'), 0, '... one that waits is');
	$proxy->clear;

	my $partial = "$ready[4].partial";
	run_ok('/bin/cp', '-p', "$data/pg_wal/$ready[4]", "$data/pg_wal/$partial");
	spew("$data/pg_wal/$ready[4].00000028.backup", "START WAL LOCATION: 0/2000028 (file $ready[4])\n");
	spew("$data/pg_wal/00000002.history", "1\t0/3000000\tno recovery target specified\n");
	for my $file ($partial, "$ready[4].00000028.backup", '00000002.history')
	{
		spew("$status_dir/$file.ready", '');
		down();
		is(push_status($file), 1, "$file is never dropped");
		like($last->{err}, qr/\d MiB of WAL wait, more than push-queue-max, behind \Q$file\E, which is never dropped/, '... which is said');
		$proxy->clear;
		is(push_status($file), 0, '... but archived, when the store is back');
		ok(is_there($file), '... is there');
		unlink "$status_dir/$file.ready", "$data/pg_wal/$file";
	}
	is(scalar(grep { /^$ready[3]-/ } told()), 1, 'of all that, one record');
	is(scalar(told()), 1, '... and no other');
	return;
}

# No record, no drop.
sub test_no_record
{
	fresh();
	down();
	SeawallTest::make_dir("$data/pg_wal/seawall.spool");
	chmod 0500, "$data/pg_wal/seawall.spool";
	is(push_status($ready[0]), 1, 'where no record can be written nothing is dropped');
	like($last->{err}, qr/error: nothing is dropped for push-queue-max, because no record of it can be kept: .*[Pp]ermission denied/, '... which is said');
	chmod 0700, "$data/pg_wal/seawall.spool";
	SKIP:
	{
		my $disk = SeawallTest::small_disk(path('disk'), '64k');
		skip 'no small file system', 3 unless $disk;
		my $n = 0;
		while ($n < 100) { eval { spew("$disk/fill" . $n++, 'x' x 4096); 1 } or last }
		is(push_status($ready[0], "--push-spool=$disk"), 1, 'nor where the disk is full');
		like($last->{err}, qr/no record of it can be kept: .*No space left/, '... which is said');
		is_deeply([ records("$disk/gaps/$system_id") ], [], '... and no half record is there');
	}
	my $open = SeawallTest::make_dir(path('open'));
	is(push_status($ready[0], "--push-spool=$open"), 0, 'another spool');
	is(scalar(records("$open/gaps/$system_id")), 1, '... is used');
	chmod 0777, "$open/gaps/$system_id";
	is(push_status($ready[1], "--push-spool=$open"), 1, 'one that others may write in is not believed');
	like($last->{err}, qr/no record of it can be kept: .*only its owner/, '... nor used');
	return;
}

sub test_order
{
	SKIP:
	{
		skip 'no strace', 3 unless -x '/usr/bin/strace';
		fresh();
		down();
		my $trace = path('trace');
		$last = run('/usr/bin/strace', '-f', '-qq', '-y', '-o', $trace, '-e', 'trace=fsync,fdatasync,rename,renameat,renameat2,exit_group',
			program('seawall-push'), '--config', $config, "pg_wal/$ready[0]", { cwd => $data, env => { ASAN_OPTIONS => 'detect_leaks=0' } });
		my @calls = grep { /gaps|exit_group/ } split /\n/, slurp($trace);
		skip 'strace may not trace', 3 unless @calls;
		is($last->{status}, 0, 'dropped under strace') or diag SeawallTest::describe($last);
		my ($file) = grep { $calls[$_] =~ /f(data)?sync\(\d+<[^>]*\.json\.tmp\.\w+>\)\s+= 0/ } 0 .. $#calls;
		my ($rename) = grep { $calls[$_] =~ /rename.*\.json"/ } 0 .. $#calls;
		my @dirs = grep { $calls[$_] =~ /fsync\(\d+<[^>]*gaps\/\d+>\)\s+= 0/ } 0 .. $#calls;
		my ($exit) = grep { $calls[$_] =~ /exit_group\(0\)/ } 0 .. $#calls;
		ok(defined $file && defined $rename && @dirs && defined $exit && $file < $rename && $rename < $dirs[-1] && $dirs[-1] < $exit,
			'the file is synced, then renamed, then its directory synced, then 0 is said') or diag join "\n", @calls;
		is(scalar(records()), 1, '... one record');
	}
	return;
}

# Killed anywhere: 0 was said only with a record, and what was recorded without it is no harm.
sub test_kill
{
	fresh();
	down();
	my ($dropped, $killed, $lies) = (0, 0, 0);
	for my $round (1 .. 40)
	{
		SeawallTest::remove_tree("$data/pg_wal/seawall.spool");
		my $child = spawn(program('seawall-push'), '--config', $config, '--store-deadline=0', "pg_wal/$ready[0]", { cwd => $data });
		sleep rand 0.06;
		kill 'KILL', -$child->{pid};
		my $r = SeawallTest::reap($child);
		if (defined $r->{status} && $r->{status} == 0) { $dropped++; $lies++ unless records() }
		else { $killed++ }
	}
	is($lies, 0, "40 rounds of kill -9: $dropped dropped, $killed not, none without a record");
	SeawallTest::remove_tree("$data/pg_wal/seawall.spool");
	is(push_status($ready[0]), 0, 'a record of a call that PostgreSQL never heard the answer of');
	$proxy->clear;
	is(push_status($ready[0]), 0, '... does not keep the segment from being asked for again') or diag SeawallTest::describe($last);
	return;
}

sub test_several
{
	fresh();
	my $second_proxy = SeawallTest::Proxy->new($s3);
	my $second = SeawallTest::Repo->of_kind('s3', 'gapstwo', $s3, proxy => $second_proxy);
	$second->{settings} = { 'store-deadline' => '200ms' };
	$config = write_config(path('two.conf'), cluster => { pgdata => $data, 'push-queue-max' => $limit },
		repos => [ $repo, $second ]);
	my $r = seawall('init', { config => $config });
	die SeawallTest::describe($r) if $r->{status} != 0;
	$second_proxy->rule('status 503');
	for my $file (@ready[0 .. 2])
	{
		is(push_status($file, '--push-ahead=0'), 0, 'beyond the limit one of two repositories is enough') or diag SeawallTest::describe($last);
		unlike($last->{err}, qr/IS DROPPED/, '... nothing is dropped');
		ok(is_there($file), '... and that one has the segment');
		done($file);
	}
	is_deeply([ records() ], [], '... so there is no record');
	down();
	is(push_status($ready[3], '--push-ahead=0'), 0, 'with both down');
	like($last->{err}, qr/IS DROPPED/, '... a segment is dropped');
	done($ready[3]);
	$proxy->clear;
	my ($record) = records();
	only_waiting(@ready[4 .. 6]);
	is(push_status($ready[4], '--push-ahead=0'), 1, 'the next push');
	is_deeply([ told() ], [$record], '... tells the one that is up');
	is_deeply([ records() ], [$record], '... and keeps the record for the other');
	$proxy->tell('forget');
	push_status($ready[4], '--push-ahead=0');
	is($proxy->count('key=/gaps/'), 0, '... which is not told again');
	$second_proxy->clear;
	is(push_status($ready[4], '--push-ahead=0'), 0, 'when that is back');
	is_deeply([ told($second) ], [$record], '... it has the record too');
	is_deeply([ glob spool() . '/*' ], [], '... and nothing is kept here');
	return;
}

# Dropped, and nothing archived behind it: for who fetches, no end of the WAL.
sub test_fetch
{
	fresh();
	my $fetch = sub {
		my ($file) = @_;
		$last = fetch_wal('--fetch-hole-wait=0', $file, path('fetched'), { config => $config, cwd => $data });
		return $last->{status};
	};
	is($fetch->($ready[0]), 1, 'an empty repository is the end of the WAL');
	down();
	is(push_status($ready[0]), 0, 'dropped');
	$proxy->clear;
	is($fetch->($ready[0]), 1, '... and told to nobody yet');
	spew("$data/pg_wal/00000002.history", "1\t0/3000000\tno recovery target specified\n");
	spew("$status_dir/00000002.history.ready", '');
	is(push_status('00000002.history'), 0, 'a history comes');
	is(scalar(told()), 1, '... and brings the record');
	unlink "$status_dir/00000002.history.ready", "$data/pg_wal/00000002.history";
	is($fetch->($ready[0]), 126, 'now it is a hole');
	like($last->{err}, qr/error: .*$ready[0] is missing in \S+: it was dropped on purpose by push-queue-max at \d{4}-/, '... that is explained');
	is($fetch->($ready[-1]), 1, 'a segment behind all that was dropped is not there');
	is($fetch->('000000020000000000000002'), 1, '... nor one of another timeline');
	is(push_status($ready[0], '--push-ahead=0'), 0, 'archived after all');
	is($fetch->($ready[0]), 0, '... it is fetched');
	return;
}

# --- a running server ----------------------------------------------------------------------------

sub waiting { my ($dir) = @_; return scalar grep { m{/[0-9A-F]{24}\.ready$} } glob "$dir/pg_wal/archive_status/*" }
sub json_of { my ($r) = @_; return decode_json($r->{out}) }

sub test_server
{
	my $site_proxy = SeawallTest::Proxy->new($s3);
	my $site = SeawallTest::new_site('outage', kind => 's3', gateway => $s3, proxy => $site_proxy, segment_mb => 1,
		settings => { 'store-deadline' => '200ms' }, cluster => { 'push-queue-max' => '3MB', 'archive-timeout' => '30s' },
		conf => "autovacuum = off\nmax_wal_size = '1GB'\n");
	my ($server, $with) = ($site->{pg}, { config => $site->{config} });
	my $dir = $server->pgdata;
	my $dropped = qr/dropped on purpose by push-queue-max at \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ/;
	my $rows = 0;
	my $write = sub {
		$server->sql("INSERT INTO t SELECT @{[ ++$rows ]}, repeat('x', 50) FROM generate_series(1, 2000); SELECT pg_switch_wal()") for 1 .. $_[0];
	};
	my $say = sub { my $r = seawall(@_, $with); return $r };
	$server->append_conf("archive_command = '@{[ program('seawall-push') ]} --config $site->{config} %p'");
	$server->reload;
	$server->sql('CREATE TABLE t (n int, x text)');
	$write->(2);
	$server->switch_and_wait;
	is($say->('backup', '--label=first')->{status}, 0, 'a server with a backup');
	$write->(1);
	$server->switch_and_wait;
	my $before = $rows;

	$site_proxy->rule("method=PUT key=/$_/ status 503") for qw(wal gaps);
	$write->(10);
	wait_until('drops', sub { waiting($dir) <= 3 }, 60);
	my $untold = qr/WAL was $dropped, and \d+ records? of it in \S+ (?:is|are) not in every repository yet/;
	like($say->('check', '--archive-timeout=1s')->{out}, qr/^NOT OK +dropped WAL: $untold/m, 'before a repository has the record, check on the machine knows it');
	like($say->('status')->{out}, qr/^ATTENTION: $untold/m, '... and status');
	like($server->log_text, qr/error: [0-9A-F]{24} IS DROPPED, not archived/, 'an outage: WAL is dropped, and the server\'s log says so');
	$site_proxy->clear;
	$site_proxy->rule('method=PUT key=/wal/ status 503');
	$write->(1); # a push that tells the record
	wait_until('the record', sub { grep { m{/gaps/} } $site->{repo}->names }, 60);
	my $r = $say->('plan');
	is($r->{status}, 3, 'while nothing is archived behind it, the end of the archive is not the end of the WAL');
	like($r->{err}, qr/there is a hole before it: .* missing in .*: [0-9A-F]{24}( to [0-9A-F]{24})?, $dropped.*--target-lsn/, '... which a plan explains')
		or diag SeawallTest::describe($r);
	$r = $say->('targets');
	like($r->{out}, qr/missing +[0-9A-F]{24}.*, $dropped/, '... and targets');
	like($r->{out}, qr/cannot be recovered, because [0-9A-F]{24} .* missing: $dropped/, '... twice');
	like($r->{out}, qr/WAL IS MISSING: .* of timeline 1 w(?:as|ere) $dropped.* on \S+:\S+, because .*503/, '... and says why, loudly');

	# a backup whose own WAL is dropped
	my $backup = spawn(program('seawall'), 'backup', '--config', $site->{config}, '--label=doomed', { cwd => path() });
	my $start = time;
	while (SeawallTest::alive($backup) && time - $start < 25) { $write->(1); sleep 0.2 }
	$r = SeawallTest::reap($backup);
	is($r->{status}, 1, 'a backup whose own WAL is dropped fails');
	cmp_ok($r->{seconds}, '<', 25, '... without waiting for archive-timeout');
	like($r->{err}, qr/error: .*WAL segment [0-9A-F]{24}, which the backup needs, was $dropped/, '... and says why') or diag SeawallTest::describe($r);

	$site_proxy->clear;
	$server->switch_and_wait;
	$server->switch_and_wait;
	is(join(' ', glob "$dir/pg_wal/seawall.spool/gaps/*/*"), '', 'when the outage is over, the records are in the repository, and not kept here');
	$r = $say->('list');
	like($r->{out}, qr/missing: [0-9A-F]{24}.*, $dropped/, 'list shows the hole');
	like($r->{out}, qr/WAL IS MISSING: .*\nNOTHING THAT WAS COMMITTED IN IT OR BEHIND IT CAN BE RECOVERED until there is a new backup/, '... loudly');
	my ($listed) = @{ json_of($say->('list', '--json'))->[0]{systems} };
	cmp_ok($listed->{dropped}[0]{segments}, '>=', 7, '... with --json too');
	is($listed->{dropped}[0]{pgdata}, $dir, '... and where');
	cmp_ok(json_of($say->('targets', '--json'))->[0]{systems}[0]{gaps}[0]{dropped}, '>=', 7, 'targets --json counts them');
	$r = $say->('check');
	is($r->{status}, 3, 'check answers no');
	like($r->{out}, qr/^NOT OK +dropped WAL in \S+: .* $dropped.*'seawall backup'/m, '... and says why and what to do') or diag $r->{out};
	$r = $say->('status');
	is($r->{status}, 3, 'status answers no');
	like($r->{out}, qr/^ATTENTION: WAL IS MISSING in repository \S+: .* $dropped.*'seawall backup'/m, '... and why') or diag $r->{out};
	like($say->('find', '--dropped')->{out}, qr/missing, so not looked at: .*$dropped/, 'find says what it could not look at');
	$r = $say->('plan');
	is($r->{status}, 3, 'no plan goes past it');
	like($r->{err}, qr/hole before it: .*$dropped/, '... and says so');

	my ($lsn) = $r->{err} =~ /--target-lsn (\S+)/;
	my $restored = path('restored');
	$r = $say->('restore', '--pgdata', $restored, '--target-lsn', $lsn, '--target-action=promote');
	is($r->{status}, 0, 'up to there a restore goes') or diag SeawallTest::describe($r);
	my $copy = SeawallTest::Cluster->new(name => 'restored', from => $restored);
	$copy->own_settings("archive_mode = off\n");
	$copy->start;
	$copy->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60);
	is($copy->sql('SELECT max(n) >= ' . $before . ' FROM t'), 't', '... with all that was committed before the gap');
	$copy->stop;

	$r = $say->('backup', '--label=second');
	is($r->{status}, 0, 'a new backup') or diag SeawallTest::describe($r);
	like($r->{out}, qr/it re-anchors the cluster: .* $dropped/, '... says that it re-anchors the cluster');
	unlike($say->('list')->{out}, qr/WAL IS MISSING|NOTHING THAT/, '... after it list is quiet');
	unlike($say->('targets')->{out}, qr/WAL IS MISSING|NOTHING THAT/, '... and targets');
	unlike($say->('status')->{out}, qr/WAL IS MISSING|dropped/, '... and status');
	$r = $say->('check');
	like($r->{out}, qr/^ok +dropped WAL in \S+: a backup has been made since/m, '... and check, which still knows') or diag $r->{out};
	unlike($r->{out}, qr/^NOT OK ++(?!fsync)/m, '... and finds nothing else');
	is($say->('plan')->{status}, 0, '... and there is a plan to the end again');
	is($say->('backup', '--label=third')->{status}, 0, 'another backup');
	unlike($say->('backup', '--label=fourth')->{out}, qr/re-anchors/, '... re-anchors nothing');
	$server->stop;
	return;
}

test_limit();
test_run();
test_never();
test_no_record();
test_order();
test_kill();
test_several();
test_fetch();
test_server();
done_testing();
