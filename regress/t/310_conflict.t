# A name that is taken: what is the same WAL, what is put beside, what is refused; and who wins a race.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;

my $s3 = SeawallTest::Gateway->new;

# Two servers that were one: up to a place in the second segment they have the same WAL, then each its own.
my $pg = SeawallTest::Cluster->new(name => 'one', segment_mb => 1, conf => "wal_keep_size = '100MB'\nautovacuum = off\n");
my $one = $pg->pgdata;
my $two = path('two');
$pg->start;
$pg->sql("SELECT pg_switch_wal(); CREATE TABLE t AS SELECT g FROM generate_series(1, 3000) g");
$pg->stop;
run_ok('/bin/cp', '-a', $one, $two);
my $other = SeawallTest::Cluster->new(name => 'other', from => $two);
$other->own_settings;
my @segments;
for my $server ($pg, $other)
{
	$server->start;
	$server->sql("SELECT pg_current_xact_id()") if $server == $other;
	@segments = map { $server->sql("INSERT INTO t SELECT g FROM generate_series(1, 2000) g; SELECT pg_walfile_name(pg_switch_wal())") } 1 .. 6;
	$server->sql("INSERT INTO t SELECT g FROM generate_series(1, 40000) g") if $server == $pg;
	$server->stop;
}
my $full = sprintf '%s%08X', substr($segments[5], 0, 16), 1 + hex substr $segments[5], 16;
my $system_id = run_ok('/usr/lib/postgresql/15/bin/pg_controldata', $one) =~ /system identifier:\s+(\d+)/ ? $1 : die;
my $fork = $segments[0];
my $from = path('from');
SeawallTest::make_dir($from);

sub object { my ($file) = @_; return "main/$system_id/wal/" . substr($file, 0, 8) . "/$file.zst" }
sub content_of { my ($dir, $file) = @_; return slurp("$dir/pg_wal/$file") }
sub lsn_of { my ($file) = @_; return sprintf '0/%X', hex(substr $file, 16) << 20 }

my ($repo, $config, $last);
sub push_status
{
	my ($file, @option) = @_;
	$last = push_wal(@option, $file, { config => $config, cwd => $one });
	return $last->{status} // "signal $last->{signal}";
}
sub refused
{
	my ($got, $words, $name) = @_;
	is($got, 1, $name) or diag SeawallTest::describe($last);
	like($last->{err}, $words, '... and says why');
	is_one_line($last->{err}, '... in one line');
}
sub made { my ($name, $bytes) = @_; return spew("$from/$name", $bytes) }
sub stored
{
	my ($object) = @_;
	spew(path('object.zst'), $repo->get($object));
	return run_ok('/usr/bin/zstd', '-dcq', path('object.zst'));
}
sub beside { my ($file) = @_; my $stem = object($file) =~ s/zst$//r; return grep { /^\Q${stem}\Ealt-[0-9a-f]{8}\.zst$/ } $repo->names }

# The segment with what stands behind its first `keep` bytes replaced.
sub cut { my ($bytes, $keep, $tail) = @_; return substr($bytes, 0, $keep) . substr($tail // "\0" x (1 << 20), $keep, (1 << 20) - $keep) }

sub test_same
{
	my ($kind) = @_;
	my $file = $segments[1];
	my $bytes = content_of($one, $file);
	my $used = length $bytes =~ s/\0+$//r;
	is(push_status("pg_wal/$file"), 0, "$kind: a segment that ends with a switch") or diag SeawallTest::describe($last);
	cmp_ok($used, '<', 900_000, '... long before its end');
	my $old = 'x' x 950_272 . content_of($one, $segments[2]);
	is(push_status(made($file, cut($bytes, 950_272, $old))), 0, '... and another with recycled WAL behind the switch') or diag SeawallTest::describe($last);
	like($last->{err}, qr/already archived in \S+ with the same WAL, and other bytes behind its end/, '... are the same, which is said');
	ok(stored(object($file)) eq $bytes, '... and what came first stays');
	is(push_status(made($file, cut($bytes, 950_272, $old)), '--push-validate=off'), 1, '... but not where nobody may read the WAL');
	is(scalar(beside($file)), 0, '... and nothing lies beside it');

	is(push_status("pg_wal/$full"), 0, "$kind: a segment whose last record goes on in the next") or diag SeawallTest::describe($last);
	my $changed = content_of($one, $full);
	substr($changed, -1, 1) ^= "\x01";
	refused(push_status(made($full, $changed), '--push-validate=warn'), qr/different from LSN/, '... is all its own up to its last byte');
}

sub test_unfinished
{
	my ($kind) = @_;
	my $file = $segments[2];
	my $whole = content_of($one, $file);
	is(push_status("pg_wal/$file"), 0, "$kind: a whole segment");
	my $early = cut($whole, 65536);
	is(push_status(made($file, $early)), 0, '... and an unfinished copy of it') or diag SeawallTest::describe($last);
	like($last->{err}, qr{warning: $file is already in \S+ with other content, different from LSN 0/\w+ on, from \S+:\Q$one\E; this one, an unfinished copy, was put beside it as \S+\.alt-[0-9a-f]{8}\.zst},
		'... which is told');
	is(scalar(beside($file)), 1, '... lies beside it');
	ok(stored((beside($file))[0]) eq $early, '... whole');
	ok(stored(object($file)) eq $whole, '... and what was there stays');
	is(push_status("$from/$file"), 0, '... the same again');
	is(scalar(beside($file)), 1, '... makes no other');
	is(push_status("$from/$file", '--compress-level=5'), 0, '... even compressed otherwise');
	is(scalar(beside($file)), 1, '... makes no other');
	is(push_status(made($file, cut(content_of($two, $file), 40960))), 0, '... one of another server');
	is(scalar(beside($file)), 2, '... does');
	is(push_status("pg_wal/$file"), 0, '... and the whole one is recognised');

	$file = $segments[3];
	$whole = content_of($one, $file);
	$early = cut($whole, 65536);
	is(push_status(made($file, $early)), 0, "$kind: an unfinished copy that comes first");
	refused(push_status("pg_wal/$file"), qr{unfinished copy, whose WAL ends at LSN 0/\w+ and is the same up to there;.*move \S+ away \(nothing is lost}, '... is not replaced by the whole one');
	ok(stored(object($file)) eq $early, '... but stays');
	if ($kind ne 'versioned') # there only a version can be taken away
	{
		$repo->remove(object($file));
		is(push_status("pg_wal/$file"), 0, '... until somebody does what is said');
		ok(stored(object($file)) eq $whole, '... then the whole one is there');
	}

	my $partial = "$segments[4].partial";
	is(push_status(made($partial, cut(content_of($one, $segments[4]), 65536))), 0, "$kind: a .partial");
	is(push_status(made($partial, cut(content_of($two, $segments[4]), 40960))), 0, '... and that of another promotion') or diag SeawallTest::describe($last);
	like($last->{err}, qr/warning: .*the end of a timeline, was put beside/, '... which is told');
	is(scalar(beside($partial)), 1, '... lies beside it');
	is(push_status("$from/$partial", '--push-validate=off'), 0, '... also when it is not read');
	is(scalar(beside($partial)), 1, '... once');
}

sub test_refused
{
	my ($kind) = @_;
	is(push_status("pg_wal/$fork"), 0, "$kind: where two servers part");
	my $before = content_of($one, $fork);
	my $after = content_of($two, $fork);
	my $at = 0;
	$at++ while substr($before, $at, 1) eq substr($after, $at, 1);
	my $lsn = sprintf '0/%X', (hex(substr $fork, 16) << 20) + $at;
	refused(push_status("$two/pg_wal/$fork", "--pgdata=$two"), qr{$fork is already in \S+ with other content, different from LSN $lsn on; there from \S+:\Q$one\E, here from \S+:\Q$two\E; nothing was overwritten},
		'... the other is refused, with the first LSN that differs, and both origins');
	is(scalar(beside($fork)), 0, '... and lies nowhere');
	ok(stored(object($fork)) eq $before, '... and what was there stays');
}

sub test_history
{
	my ($kind) = @_;
	my $at = lsn_of($segments[1]);
	my $history = '00000002.history';
	is(push_status(made($history, "1\t$at\tno recovery target specified\n")), 0, "$kind: a history that leaves archived WAL behind");
	like($last->{err}, qr{warning: timeline 2 leaves timeline 1 at LSN $at, but WAL of timeline 1 beyond that is archived in \S+, from $segments[1] on: .*--target-timeline=1},
		'... which is told');
	refused(push_status(made($history, "1\t0/9000000\tno recovery target specified\n")), qr/promoted to this timeline first: make this one its standby again \(pg_rewind\), or give this one a cluster name of its own/,
		'... another promotion to the same timeline is refused');
	is(push_status(made('00000003.history', "1\t0/90000000\tno recovery target specified\n")), 0, '... a history that leaves nothing behind');
	is($last->{err}, '', '... is archived in silence');
	is(push_status(made('00000004.history', "nonsense\n")), 0, '... one that nobody can read is archived too');
}

# Many processes at once, of two servers.
sub test_race
{
	my ($kind, $rounds) = @_;
	my ($wrong, %won) = (0, one => 0, two => 0);
	for my $round (1 .. $rounds)
	{
		my $file = sprintf '%08X%08X%08X', 0x20 + $round, 0, 9;
		my %bytes;
		for my $side (qw(one two))
		{
			$bytes{$side} = "$side says $round\n" x 5000;
			SeawallTest::make_dir("$from/$side");
			spew("$from/$side/$file.00000028.backup", $bytes{$side});
		}
		my @racers = map { my $side = $_; map { { side => $side, child => spawn(program('seawall-push'), '--config', $config, '--log-level=error',
			"$from/$side/$file.00000028.backup", { cwd => $one }) } } 1 .. 3 } $round % 2 ? qw(one two) : qw(two one);
		my %ok;
		for my $racer (@racers)
		{
			my $r = SeawallTest::reap($racer->{child});
			$ok{ $racer->{side} } += ($r->{status} // 99) == 0;
			$wrong++, diag SeawallTest::describe($r) if ($r->{status} // 99) > 1;
		}
		my ($winner, @more) = grep { $ok{$_} } qw(one two);
		$winner //= '';
		$wrong++, diag "round $round: one $ok{one}, two $ok{two}" if @more || ($ok{$winner} // 0) != 3;
		$won{$winner}++;
		my $r = fetch_wal("$file.00000028.backup", 'pg_wal/RECOVERYXLOG', { config => $config, cwd => $one });
		$wrong++, diag "round $round: not what the winner put" if $r->{status} != 0 || slurp("$one/pg_wal/RECOVERYXLOG") ne ($bytes{$winner} // '');
	}
	is($wrong, 0, "$kind: in $rounds races all of one side win, all of the other are refused, and the winner's is what is read");
	diag "$kind: one won $won{one}, the other $won{two}";
}

for my $kind (qw(file s3 versioned))
{
	$repo = SeawallTest::Repo->of_kind($kind eq 'versioned' ? 's3' : $kind, "conflict-$kind", $s3, versioned => $kind eq 'versioned');
	$config = write_config(path("$kind.conf"), cluster => { pgdata => $one }, repos => [$repo]);
	$last = seawall('init', { config => $config });
	is($last->{status}, 0, "$kind: init") or diag SeawallTest::describe($last);
	test_same($kind);
	test_unfinished($kind);
	test_refused($kind);
	test_history($kind);
	test_race($kind, $kind eq 'file' ? 10 : 15);
	$last = fetch_wal($segments[2], 'pg_wal/RECOVERYXLOG', { config => $config, cwd => $one });
	is($last->{status}, 0, "$kind: what has copies beside it is fetched");
	ok(content_of($one, 'RECOVERYXLOG') eq content_of($one, $segments[2]), '... itself');
	$last = seawall('targets', '--offline', { config => $config });
	is($last->{status}, 3, '... and the catalog') or diag SeawallTest::describe($last);
	unlike($last->{out} . $last->{err}, qr/alt-/, '... passes over the copies');
}
done_testing();
