# Seawall's reader of WAL, held against PostgreSQL's own: position, end, predecessor, length, transaction and resource
# manager of every record of varied loads, a crash in mid-record and a promotion, by pg_waldump (15) and
# pg_walinspect (15 and later).
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use SeawallTest;
use Test::More;

my %segment_mb = (14 => 4, 15 => 16, 16 => 2, 17 => 1, 18 => 64);
my %magic = (14 => 'D10D', 15 => 'D110', 16 => 'D113', 17 => 'D116', 18 => 'D118');
my $wal_goal = long_tests() ? 2_000_000_000 : 60_000_000; # bytes of one version's load

my @rmgr = qw(XLOG Transaction Storage CLOG Database Tablespace MultiXact RelMap Standby Heap2 Heap Btree Hash Gin
	Gist Sequence SPGist BRIN CommitTs ReplicationOrigin Generic LogicalMessage);
my %rmgr_id = map { $rmgr[$_] => $_ } 0 .. $#rmgr;

# --- loads --------------------------------------------------------------------------------

sub load_objects
{
	my ($pg) = @_;
	my $place = path('space' . $pg->version);
	mkdir $place or die "$place: $!";
	as_user_owner($place);
	$pg->sql(<<"SQL");
CREATE TABLE big (id int PRIMARY KEY, t text);
ALTER TABLE big ALTER t SET STORAGE EXTERNAL;
INSERT INTO big SELECT g, repeat(md5(g::text), 20000) FROM generate_series(1, 20) g;
UPDATE big SET t = t || 'x' WHERE id % 3 = 0;
DELETE FROM big WHERE id % 4 = 0;
CREATE TABLE docs AS SELECT g AS id, ARRAY[g, g % 7] AS a, md5(g::text) AS t, point(g, g % 100) AS p
	FROM generate_series(1, 20000) g;
CREATE INDEX ON docs USING gin (a);
CREATE INDEX ON docs USING gist (p);
CREATE INDEX ON docs USING spgist (t);
CREATE INDEX ON docs USING hash (t);
CREATE INDEX ON docs USING brin (id);
UPDATE docs SET a = a || 5, t = md5(t) WHERE id % 2 = 0;
VACUUM FULL docs;
CREATE INDEX by_t ON docs (t);
CLUSTER docs USING by_t;
VACUUM docs;
TRUNCATE docs;
DROP TABLE docs;
CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS g;
CREATE SEQUENCE numbers;
SELECT count(nextval('numbers')) FROM generate_series(1, 100);
CREATE TABLESPACE elsewhere LOCATION '$place';
CREATE TABLE moved TABLESPACE elsewhere AS SELECT generate_series(1, 1000) AS g;
DROP TABLE moved;
DROP TABLESPACE elsewhere;
SELECT pg_logical_emit_message(true, 'test', repeat('m', 100)), pg_logical_emit_message(false, 'test', repeat('n', 300000));
SELECT pg_create_restore_point('a point');
SQL
	return;
}

sub load_databases
{
	my ($pg) = @_;
	my @strategies = $pg->version >= 15 ? ('STRATEGY wal_log', 'STRATEGY file_copy') : ('');
	for my $i (0 .. $#strategies)
	{
		$pg->sql("CREATE DATABASE extra$i TEMPLATE template0 $strategies[$i]");
		$pg->sql('CREATE TABLE there AS SELECT generate_series(1, 1000)', "extra$i");
		$pg->sql("DROP DATABASE extra$i");
	}
	return;
}

sub load_transactions
{
	my ($pg) = @_;
	$pg->sql(<<'SQL');
DROP TABLE IF EXISTS acts;
CREATE TABLE acts (id int, t text);
BEGIN; INSERT INTO acts VALUES (1, 'prepared'); PREPARE TRANSACTION 'one';
BEGIN; INSERT INTO acts VALUES (2, 'given up'); PREPARE TRANSACTION 'two';
COMMIT PREPARED 'one';
ROLLBACK PREPARED 'two';
BEGIN; INSERT INTO acts VALUES (3, 'aborted'); ROLLBACK;
DO $$BEGIN FOR i IN 1 .. 300 LOOP
	BEGIN INSERT INTO acts VALUES (i, 'sub'); IF i % 10 = 0 THEN RAISE 'no'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END;
END LOOP; END$$;
SELECT * FROM acts FOR SHARE;
COPY acts FROM PROGRAM 'seq -f "%g	line" 1 30000';
DELETE FROM acts WHERE id % 2 = 0;
SQL
	return;
}

# Rows, then their hint bits as full pages, until there is enough WAL.
sub load_bulk
{
	my ($pg) = @_;
	my $enough = sub { $pg->sql("SELECT pg_current_wal_lsn() - '0/0' > $wal_goal") eq 't' };
	$pg->pgbench('-i', '-q', '-s', long_tests() ? 50 : 2);
	do
	{
		$pg->sql('CHECKPOINT; SELECT count(*) FROM pgbench_accounts');
		$pg->pgbench('-c', 4, '-j', 1, '-t', long_tests() ? 10000 : 1500, '-n');
	} until $enough->();
	return;
}

# Killed while a record that fills many pages is written.
sub crash_in_mid_record
{
	my ($pg) = @_;
	my $before = $pg->sql('SELECT pg_current_wal_lsn()');
	my $child = spawn($pg->psql_command, { stdin =>
		"SELECT pg_logical_emit_message(false, 'long', repeat('x', 500000000))" });
	$pg->wait_for_sql("SELECT pg_current_wal_lsn() - '$before' > 2000000", 't', 30);
	$pg->kill9;
	SeawallTest::reap($child, 30);
	$pg->start;
	return;
}

# --- lists of records ------------------------------------------------------------------------

sub hex_lsn { my ($lsn) = @_; my ($high, $low) = $lsn =~ m{^([0-9A-F]+)/([0-9A-F]+)$}i or die "LSN $lsn"; return sprintf '%X', hex($high) * 2 ** 32 + hex $low }

# Segments in pg_wal, on the path to the newest timeline, up to that one.
sub segments
{
	my ($pg, $last) = @_;
	opendir my $dir, $pg->pgdata . '/pg_wal' or die $!;
	my %best;
	for my $name (sort grep { /^[0-9A-F]{24}$/ } readdir $dir)
	{
		my $segment = substr $name, 8;
		$best{$segment} = $name if $segment le substr $last, 8;
	}
	return map { $pg->pgdata . "/pg_wal/$best{$_}" } sort keys %best;
}

# Ours: a file with a line for each record, and the remarks.
sub our_list
{
	my ($pg, $mode, $seed, @files) = @_;
	my $r = run("$ENV{BUILDDIR}/regress/unit/t_wal_reader", 'list', $mode, $segment_mb{ $pg->version } * 2 ** 20, $seed,
		@files, { root => 1, timeout => 900 });
	is($r->{status}, 0, "the segments are read ($mode)") or diag $r->{err};
	my @remarks;
	my $name = path("ours.$mode.$seed");
	open my $out, '>', $name or die $!;
	my @line;
	for (split /^/, $r->{out})
	{
		if (/^#/) { push @remarks, $_ }
		else { push @line, sprintf '%016s %s', /^(\S+)/, $_ }
	}
	# a record that is joined comes out behind others
	print $out map { substr $_, 17 } $mode eq 'each' ? sort @line : @line;
	close $out;
	return ($name, @remarks);
}

sub waldump_list
{
	my ($pg, $first, $last) = @_;
	my $name = path('waldump');
	open my $out, '>', $name or die $!;
	my $r = run(pg_client('pg_waldump'), $first, $last, { timeout => 900 });
	my $count = 0;
	for (split /^/, $r->{out})
	{
		m{^rmgr: (\w+)\s+len \(rec/tot\):\s+\d+/\s*(\d+), tx:\s+(\d+), lsn: (\S+), prev (\S+),} or next;
		printf $out "%s %s %d %d %d\n", hex_lsn($4), hex_lsn($5), $2, $3, $rmgr_id{$1} // die "rmgr $1";
		$count++;
	}
	close $out;
	return ($name, $count);
}

sub walinspect_list
{
	my ($pg, $start, $end) = @_;
	my $name = path('walinspect');
	$pg->sql('CREATE EXTENSION IF NOT EXISTS pg_walinspect');
	my $text = $pg->sql("COPY (SELECT start_lsn, end_lsn, prev_lsn, record_length, xid, resource_manager
		FROM pg_get_wal_records_info('$start', '$end')) TO STDOUT");
	open my $out, '>', $name or die $!;
	my $count = 0;
	for (split /\n/, $text)
	{
		my ($at, $next, $prev, $len, $xid, $rmgr) = split /\t/;
		printf $out "%s %s %s %d %d %d\n", hex_lsn($at), hex_lsn($next), hex_lsn($prev), $len, $xid, $rmgr_id{$rmgr} // die "rmgr $rmgr";
		$count++;
	}
	close $out;
	return ($name, $count);
}

# The same lines, as far as the second list goes; columns: of ours.  Returns the first difference.
sub difference
{
	my ($ours, $theirs, @columns) = @_;
	open my $a, '<', $ours or die $!;
	open my $b, '<', $theirs or die $!;
	while (defined(my $want = <$b>))
	{
		my $line = <$a>;
		return "nothing where $want" if !defined $line;
		chomp($line, $want);
		my $got = join ' ', (split ' ', $line)[@columns];
		return "line $.: $got, not $want" if $got ne $want;
	}
	return '';
}

sub compare
{
	my ($pg, $name) = @_;
	my $version = $pg->version;
	my ($end, $last) = split /\|/, $pg->sql('SELECT lsn, pg_walfile_name(lsn) FROM pg_switch_wal() lsn');
	my @files = segments($pg, $last);
	my ($run, @run_remarks) = our_list($pg, 'run', 1, @files);
	my ($each, @each_remarks) = our_list($pg, 'each', 2, @files);
	my $unfinished = grep { /^# unfinished/ } @run_remarks;
	@run_remarks = grep { !/^# unfinished/ } @run_remarks;
	@each_remarks = grep { !/^# unfinished/ } @each_remarks;
	like($run_remarks[0], qr/^# all: complete to \S+ magic=$magic{$version} .* switched/, "$name: all segments in one run") or diag @run_remarks;
	is(scalar(grep { !/: complete to / } @each_remarks), 0, "$name: each segment alone is complete") or diag grep { !/: complete to / } @each_remarks;
	is(slurp($each) eq slurp($run), 1, "$name: what segments share is joined, to the same records");
	my $start = sprintf '0/%X', hex((split ' ', slurp($run))[0]);
	if ($version >= 15)
	{
		my ($theirs, $count) = walinspect_list($pg, $start, $end);
		is(difference($run, $theirs, 0 .. 5), '', "$name: pg_walinspect says the same of $count records");
		cmp_ok($count, '>', 10_000, "$name: many");
	}
	if ($version == 15 && substr(basename($files[0]), 0, 8) eq substr(basename($last), 0, 8))
	{
		my ($theirs, $count) = waldump_list($pg, @files[0, -1]);
		is(difference($run, $theirs, 0, 2 .. 5), '', "$name: pg_waldump says the same of $count records");
		cmp_ok($count, '==', () = slurp($run) =~ /\n/g, "$name: and of no more");
	}
	unlink $run, $each;
	return ($unfinished, scalar grep { /timelines=1-2/ } @each_remarks);
}

sub check_version
{
	my ($version) = @_;
	my $pg = SeawallTest::Cluster->new(version => $version, name => "wal$version", segment_mb => $segment_mb{$version},
		conf => "max_prepared_transactions = 10\nwal_keep_size = 20GB\nmax_wal_size = 20GB\nwal_buffers = 256kB\n");
	$pg->start;
	load_objects($pg);
	load_databases($pg);
	load_transactions($pg);
	load_bulk($pg);
	compare($pg, "$version");
	crash_in_mid_record($pg) for 1 .. 3;
	load_transactions($pg);
	my ($unfinished) = compare($pg, "$version after crashes");
	cmp_ok($unfinished, '>', 0, "$version: $unfinished unfinished records are seen");
	$pg->stop;
	spew($pg->pgdata . '/standby.signal', '');
	$pg->start;
	$pg->promote;
	load_transactions($pg);
	my (undef, $forked) = compare($pg, "$version after a promotion");
	is($forked, 1, "$version: one segment has pages of both timelines");
	$pg->stop;
	return;
}

check_version($_) for versions();
done_testing();
