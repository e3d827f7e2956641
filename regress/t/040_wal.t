# Seawall's reader of WAL, held against PostgreSQL's own: position, end, predecessor, length, transaction and resource
# manager of every record of varied loads, a crash in mid-record and a promotion; and what commits, aborts, checkpoints,
# restore points, files, databases, tablespaces, maps and locks say; by pg_waldump (15) and pg_walinspect (15 and later).
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use JSON::PP;
use SeawallTest;
use Test::More;

my %segment_mb = (14 => 4, 15 => 16, 16 => 2, 17 => 1, 18 => 64);
my %magic = (14 => 'D10D', 15 => 'D110', 16 => 'D113', 17 => 'D116', 18 => 'D118');
my $wal_goal = long_tests() ? 2_000_000_000 : 60_000_000; # bytes of one version's load

my @rmgr = qw(XLOG Transaction Storage CLOG Database Tablespace MultiXact RelMap Standby Heap2 Heap Btree Hash Gin
	Gist Sequence SPGist BRIN CommitTs ReplicationOrigin Generic LogicalMessage);
my %epoch = (15 => 3); # of transaction ids
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
CREATE TABLE shrink AS SELECT generate_series(1, 10000) AS g;
DELETE FROM shrink WHERE g > 100;
VACUUM shrink;
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

# Names that pg_class gets, before and after it has moved to another file; lines that must be told.
sub load_names
{
	my ($pg) = @_;
	my @want;
	my $made = sub {
		my ($name) = @_;
		push @want, $pg->sql("SELECT format('pg_class INSERT oid=%s name=%s schema=2200 filenode=%s kind=r', oid, relname, relfilenode)
			FROM pg_class WHERE relname = '$name'");
	};
	$pg->sql('CREATE TABLE sw_first (a int)');
	$made->('sw_first');
	$pg->sql('CHECKPOINT; CREATE TABLE sw_second (a int)');
	$made->('sw_second');
	$pg->sql('VACUUM FULL pg_class; CREATE TABLE sw_third (a int)');
	$made->('sw_third');
	$pg->sql('CHECKPOINT; CREATE TABLE sw_fourth (a int)');
	$made->('sw_fourth');
	my $old = $pg->sql("SELECT oid FROM pg_class WHERE relname = 'sw_first'");
	$pg->sql('CHECKPOINT; DROP TABLE sw_first');
	push @want, "pg_class DELETE oid=$old name=sw_first";
	$pg->sql('TRUNCATE sw_second');
	push @want, $pg->sql("SELECT format('filenode=%s kind=', relfilenode) FROM pg_class WHERE relname = 'sw_second'");
	$pg->sql('CREATE DATABASE sw_database');
	push @want, $pg->sql("SELECT format('pg_database INSERT oid=%s name=sw_database', oid) FROM pg_database WHERE datname = 'sw_database'");
	$pg->sql('CHECKPOINT; DROP DATABASE sw_database');
	push @want, 'pg_database (IN_PLACE|DELETE) oid=\d+ name=sw_database';
	return @want;
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

# --- what records say ----------------------------------------------------------------------

sub file_of
{
	my ($path) = @_;
	return "1664/0/$1" if $path =~ m{^global/(\d+)};
	return "1663/$1/$2" if $path =~ m{^base/(\d+)/(\d+)};
	return "$1/$2/$3" if $path =~ m{^pg_tblspc/(\d+)/[^/]+/(\d+)/(\d+)};
	die "file $path";
}

sub iso { my ($text) = @_; return $text =~ s/^(\S+) (\S+?)(\.\d+)? ?(?:UTC|\+00)$/sprintf '%sT%s%sZ', $1, $2, substr(($3 || '.') . '000000', 0, 7)/er }

sub transaction
{
	my ($pg, $kind, $xid, $text) = @_;
	my ($prepared, $gid) = ('', '');
	$xid = $1, $prepared = ' prepared' if $text =~ s/^(\d+): //;
	$gid = $1, $prepared = ' prepared' if $text =~ s/^gid (\S+): //;
	my ($time, @part) = split /; ?/, $text;
	my %list = map { $_ => '' } qw(rels subs stats relcache);
	for (@part)
	{
		$list{rels} = join '', map { ' ' . file_of($_) } split ' ', $1 if /^rels(?:\(commit\))?: ?(.*)/;
		$list{subs} = " $1" if /^subxacts: (.*)/;
		$list{stats} = " $1" if /^(?:commit )?dropped stats: ?(.*)/;
		$list{relcache} = join '', map { " $_" } /relcache (\d+)/g;
	}
	s/\s+$// for values %list;
	return sprintf '%s %d %s%s gid=%s rels=%s subs=%s stats=%s relcache=%s', $kind,
		$xid + ($epoch{ $pg->version } // 0) * 2 ** 32, iso($time), $prepared, $gid, @list{qw(rels subs stats relcache)};
}

# The words that t_wal_meaning has for a record; undef: none.
sub words
{
	my ($pg, $rmgr, $type, $xid, $text) = @_;
	$text =~ s/\s+$//;
	if ($rmgr eq 'Transaction')
	{
		return transaction($pg, $1, $xid, $text) if $type =~ /^(COMMIT|ABORT|PREPARE)(_PREPARED)?$/;
		return "ASSIGNMENT $1: $2" if $type eq 'ASSIGNMENT' && $text =~ /^xtop (\d+): subxacts: (.*)/;
	}
	if ($rmgr eq 'XLOG')
	{
		return sprintf 'CHECKPOINT %s redo=%s tli=%s prev=%s xid=%d active=%s', $6, hex_lsn($1), $2, $3,
			(split ':', $4)[0] * 2 ** 32 + (split ':', $4)[1], $5
			if $type =~ /^CHECKPOINT_[SO]/
			&& $text =~ m{^redo (\S+); tli (\d+); prev tli (\d+); .*?xid (\d+:\d+);.* oldest running xid (\d+); (\w+)};
		return "RESTORE_POINT $text" if $type eq 'RESTORE_POINT';
		return "END_OF_RECOVERY tli=$1 prev=$2 " . iso($3)
			if $type eq 'END_OF_RECOVERY' && $text =~ /^tli (\d+); prev tli (\d+); time (\S+ \S+(?: UTC|\+00))/;
		return 'PARAMETERS ' . join ' ', $text =~ /=(\S+)/g if $type eq 'PARAMETER_CHANGE';
		return 'BACKUP_END ' . hex_lsn($text) if $type eq 'BACKUP_END';
		return 'OVERWRITE ' . hex_lsn($1) . ' ' . iso($2) if $type eq 'OVERWRITE_CONTRECORD' && $text =~ /^lsn ([^;]+); time (.*)/;
		return 'SWITCH' if $type eq 'SWITCH';
		return 'REDO' if $type eq 'CHECKPOINT_REDO';
	}
	if ($rmgr eq 'Storage')
	{
		my %fork = (fsm => 1, vm => 2, init => 3);
		return 'FILE_CREATE ' . file_of($text) . ' fork=' . ($text =~ /_([a-z]+)$/ ? $fork{$1} : 0) if $type eq 'CREATE';
		return 'FILE_TRUNCATE ' . file_of($1) . " to=$2 flags=$3" if $text =~ /^(\S+) to (\d+) blocks flags (\d+)/;
	}
	if ($rmgr eq 'Database')
	{
		return "DATABASE_CREATE $2 from=$1" if $text =~ /^copy dir (\S+) to (\S+)/;
		return "DATABASE_CREATE $1 from=0/0" if $text =~ /^create dir (\S+)/;
		return "DATABASE_DROP $1" if $text =~ /^dir (.*)/;
	}
	if ($rmgr eq 'Tablespace')
	{
		return "TABLESPACE_CREATE $1 $2" if $text =~ /^(\d+) "(.*)"/;
		return "TABLESPACE_DROP $text";
	}
	return "RELATION_MAP $2/$1" if $rmgr eq 'RelMap' && $text =~ /^database (\d+) tablespace (\d+)/;
	return 'LOCKS' . join '', map { " $_" } ($text =~ s{xid (\d+) db (\d+) rel (\d+)}{$1:$2/$3}gr =~ /(\d+:\S+)/g)
		if $rmgr eq 'Standby' && $type eq 'LOCK';
	return undef;
}

# Counts rows as the table of changes must, and gives what is to be kept.
sub count_rows
{
	my ($rows, $rmgr, $type, $xid, $text, $blocks, $words) = @_;
	if ($rmgr eq 'Heap' && $type =~ /^(DELETE|UPDATE|HOT_UPDATE)(\+INIT)?$/)
	{
		return if $1 eq 'DELETE' && $text =~ /flags:? 0x([0-9A-F]+)/ && hex($1) & 8;
		my ($relation) = $blocks =~ m{blkref #0: rel (\S+?)[; ]} or die "no block in $blocks";
		$rows->{open}{$xid}{$relation}[$type =~ /^DELETE/ ? 1 : 0]++;
	}
	return unless defined $words && $words =~ /^(COMMIT|ABORT) (\d+) .* subs=([ \d]*) stats/;
	my ($end, $top, @sub) = ($1, $2 % 2 ** 32, split ' ', $3);
	for my $one ($top, @sub)
	{
		my $relations = delete $rows->{open}{$one} or next;
		next if $end eq 'ABORT';
		while (my ($relation, $counts) = each %$relations)
		{
			$rows->{done}{"$top $relation"}[$_] += $counts->[$_] // 0 for 0, 1;
		}
	}
	return;
}

sub row_lines
{
	my ($rows) = @_;
	my @line;
	while (my ($key, $counts) = each %{ $rows->{done} })
	{
		push @line, sprintf 'CHANGE %s updates=%d deletes=%d committed', $key, @$counts[0, 1] if $counts->[0] + $counts->[1] >= 20;
	}
	return join "\n", sort @line;
}

sub our_meaning
{
	my ($pg, @files) = @_;
	my $r = run("$ENV{BUILDDIR}/regress/unit/t_wal_meaning", 'list', $segment_mb{ $pg->version } * 2 ** 20, @files,
		{ root => 1, timeout => 900 });
	is($r->{status}, 0, 'the segments are understood') or diag $r->{err};
	my %got = (events => '', rows => [], catalog => []);
	for (split /\n/, $r->{out})
	{
		if (/^# images (\d+)/) { $got{images} = $1 }
		elsif (/^# commits .* lost (\d+) malformed (\d+)/) { @got{qw(lost malformed)} = ($1, $2) }
		elsif (/^#/) { }
		elsif (/^CHANGE .* committed/) { push @{ $got{rows} }, $_ }
		elsif (/^CHANGE/) { }
		elsif (/ pg_(class|database) /) { push @{ $got{catalog} }, $_ }
		else
		{
			s/ gid=\S*/ gid=/ if / (COMMIT|ABORT) /;
			$got{events} .= "$_\n";
		}
	}
	$got{rows} = join "\n", sort @{ $got{rows} };
	return \%got;
}

# Theirs goes as far as it goes.
sub compare_meaning
{
	my ($got, $theirs, $name) = @_;
	my @ours = split /\n/, $got->{events};
	my @want = @{ $theirs->{events} };
	my ($wrong) = grep { ($ours[$_] // 'nothing') ne $want[$_] } 0 .. $#want;
	ok(!defined $wrong, "$name: the same of " . scalar(@want) . ' events')
		or diag 'got  ', substr($ours[$wrong] // 'nothing', 0, 500), "\nwant ", substr($want[$wrong], 0, 500);
	is($got->{rows}, row_lines($theirs->{rows}), "$name: the same rows changed");
	my $kinds = join ' ', sort { $a cmp $b } keys %{ { map { (split)[1] => 1 } @want } };
	return $kinds;
}

sub see
{
	my ($pg, $theirs, $lsn, $rmgr, $type, $xid, $text, $blocks) = @_;
	my $words = words($pg, $rmgr, $type, $xid, $text);
	push @{ $theirs->{events} }, "$lsn $words" if defined $words;
	count_rows($theirs->{rows}, $rmgr, $type, $xid, $text, $blocks, $words);
	$theirs->{images} += () = $blocks =~ /FPW/g;
	return;
}

sub waldump_list
{
	my ($pg, $first, $last) = @_;
	my $name = path('waldump');
	open my $out, '>', $name or die $!;
	my $r = run(pg_client('pg_waldump'), $first, $last, { timeout => 900 });
	my $count = 0;
	my $theirs = { events => [], rows => {}, images => 0 };
	for (split /^/, $r->{out})
	{
		m{^rmgr: (\w+)\s+len \(rec/tot\):\s+\d+/\s*(\d+), tx:\s+(\d+), lsn: (\S+), prev (\S+), desc: (\S+) ?(.*)} or next;
		my ($rmgr, $len, $xid, $at, $prev, $type, $desc) = ($1, $2, $3, $4, $5, $6, $7);
		see($pg, $theirs, hex_lsn($at), $rmgr, $type, $xid, $desc =~ s/, blkref #0.*//r, "$desc ");
		printf $out "%s %s %d %d %d\n", hex_lsn($at), hex_lsn($prev), $len, $xid, $rmgr_id{$rmgr} // die "rmgr $rmgr";
		$count++;
	}
	close $out;
	return ($name, $count, $theirs);
}

sub walinspect_list
{
	my ($pg, $start, $end) = @_;
	my $name = path('walinspect');
	$pg->sql('CREATE EXTENSION IF NOT EXISTS pg_walinspect');
	my $text = $pg->sql("COPY (SELECT start_lsn, end_lsn, prev_lsn, record_length, xid, resource_manager, record_type, description, coalesce(block_ref, '')
		FROM pg_get_wal_records_info('$start', '$end')) TO STDOUT");
	open my $out, '>', $name or die $!;
	my $count = 0;
	my $theirs = { events => [], rows => {}, images => 0 };
	for (split /\n/, $text)
	{
		my ($at, $next, $prev, $len, $xid, $rmgr, $type, $desc, $blocks) = split /\t/, $_, -1;
		see($pg, $theirs, hex_lsn($at), $rmgr, $type, $xid, $desc, "$blocks ");
		printf $out "%s %s %s %d %d %d\n", hex_lsn($at), hex_lsn($next), hex_lsn($prev), $len, $xid, $rmgr_id{$rmgr} // die "rmgr $rmgr";
		$count++;
	}
	close $out;
	return ($name, $count, $theirs);
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
	my ($pg, $name, $names) = @_;
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
	my $meaning = our_meaning($pg, @files);
	is("$meaning->{lost} $meaning->{malformed}", '0 0', "$name: every record was understood, every row counted");
	for my $line (@$names)
	{
		ok((grep { / $line/ } @{ $meaning->{catalog} }), "$name: told: $line");
	}
	if ($version >= 15)
	{
		my ($theirs, $count, $said) = walinspect_list($pg, $start, $end);
		is(difference($run, $theirs, 0 .. 5), '', "$name: pg_walinspect says the same of $count records");
		cmp_ok($count, '>', 10_000, "$name: many");
		my $kinds = compare_meaning($meaning, $said, "$name by pg_walinspect");
		like($kinds, qr/^ABORT .*CHECKPOINT COMMIT DATABASE_CREATE DATABASE_DROP .*FILE_CREATE FILE_TRUNCATE LOCKS PARAMETERS PREPARE (REDO )?RELATION_MAP RESTORE_POINT .*TABLESPACE_CREATE TABLESPACE_DROP/,
			"$name: of all kinds") if $name eq $version;
	}
	if ($version == 15 && substr(basename($files[0]), 0, 8) eq substr(basename($last), 0, 8))
	{
		my ($theirs, $count, $said) = waldump_list($pg, @files[0, -1]);
		is(difference($run, $theirs, 0, 2 .. 5), '', "$name: pg_waldump says the same of $count records");
		cmp_ok($count, '==', () = slurp($run) =~ /\n/g, "$name: and of no more");
		compare_meaning($meaning, $said, "$name by pg_waldump");
		is($meaning->{images}, $said->{images}, "$name: full pages");
	}
	unlink $run, $each;
	return ($unfinished, scalar grep { /timelines=1-2/ } @each_remarks);
}

sub check_version
{
	my ($version) = @_;
	my $pg = SeawallTest::Cluster->new(version => $version, name => "wal$version", segment_mb => $segment_mb{$version},
		conf => "max_prepared_transactions = 10\nwal_keep_size = 20GB\nmax_wal_size = 20GB\nwal_buffers = 256kB\n");
	run_ok("$pg->{bin}/pg_resetwal", '-e', $epoch{$version}, $pg->pgdata) if $epoch{$version};
	$pg->start;
	load_objects($pg);
	my @names = load_names($pg);
	load_databases($pg);
	load_transactions($pg);
	load_bulk($pg);
	compare($pg, "$version", \@names);
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

# --- digests ----------------------------------------------------------------------------------

# Run in one transaction; its xid, 64 bits.
sub act
{
	my ($pg, $sql, $end) = @_;
	$end //= 'COMMIT';
	return (split /\n/, $pg->sql("BEGIN; SELECT pg_current_xact_id();\n$sql;\n$end;"))[0];
}

sub files_of { my ($pg, $name) = @_; return split /\n/, $pg->sql("SELECT relfilenode FROM pg_class WHERE oid = '$name'::regclass
	OR oid = (SELECT reltoastrelid FROM pg_class WHERE oid = '$name'::regclass)
	OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = '$name'::regclass
		OR indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = '$name'::regclass)) ORDER BY 1") }

sub digests
{
	my ($pg, $from) = @_;
	my $last = $pg->sql('SELECT pg_walfile_name(pg_switch_wal())');
	my @files = grep { basename($_) ge $from } segments($pg, $last);
	my $r = run("$ENV{BUILDDIR}/regress/unit/t_wal_digest", 'list', 2 ** 20, $pg->sql('SELECT pg_current_xact_id()'), @files,
		{ root => 1, timeout => 300 });
	is($r->{status}, 0, 'the segments are digested') or diag $r->{err};
	return map { JSON::PP->new->decode($_) } split /\n/, $r->{out};
}

# What the transaction did, over all stretches; undef: nothing is told.
sub told
{
	my ($digests, @xids) = @_;
	my %xid = map { $_ => 1 } @xids;
	my %sum;
	for my $act (grep { $xid{ $_->{xid} } } map { @{ $_->{acts} // [] } } @$digests)
	{
		push @{ $sum{$_} }, @{ $act->{$_} // [] } for qw(dropped dropped_oids touched created truncated databases tablespaces rows born subxids);
		$sum{$_} += $act->{$_} // 0 for qw(class_updates class_deletes);
		$sum{commits}++ if $act->{lsn};
		$sum{prepared} ||= $act->{prepared};
		$sum{parts}++;
	}
	return %sum ? \%sum : undef;
}

sub ids { my ($list, $at) = @_; return join ' ', sort { $a <=> $b } map { $_->[$at] } @$list }

sub make_tables
{
	my ($pg) = @_;
	for my $name (qw(gone emptied rewritten mistake half waiting kept logical given_up))
	{
		$pg->sql("CREATE TABLE $name (id int PRIMARY KEY, t text); INSERT INTO $name SELECT g, md5(g::text) FROM generate_series(1, 3000) g");
	}
	$pg->sql('CREATE TABLE long (id int, t text); INSERT INTO long SELECT g, repeat(md5(g::text), 5) FROM generate_series(1, 20000) g');
	return map { $_ => { oid => $pg->sql("SELECT '$_'::regclass::oid"), files => join(' ', files_of($pg, $_)) } } qw(gone emptied rewritten waiting);
}

sub check_relations
{
	my ($pg, $table, $digests, $xid) = @_;
	my $version = $pg->version;
	my $drop = told($digests, $xid->{gone});
	is(ids($drop->{dropped}, 2), $table->{gone}{files}, "$version: a dropped table's files");
	cmp_ok($drop->{class_deletes}, '>=', 2, 'and its rows of pg_class');
	is($drop->{commits}, 1, 'with its commit');
	like(ids($drop->{dropped_oids}, 1), qr/\b$table->{gone}{oid}\b/, 'and its OID') if $version >= 15;
	my $truncate = told($digests, $xid->{emptied});
	is(ids($truncate->{dropped}, 2), $table->{emptied}{files}, 'a truncated table\'s files');
	is($truncate->{class_deletes}, 0, 'whose rows of pg_class stay');
	is(scalar @{ $truncate->{created} }, scalar @{ $truncate->{dropped} }, 'and as many new ones');
	is(scalar @{ $truncate->{dropped_oids} }, 0, 'no OID goes');
	like(ids($truncate->{touched}, 1), qr/\b$table->{emptied}{oid}\b/, 'the relation is named');
	my ($full) = grep { ids($_->{dropped} // [], 2) eq $table->{rewritten}{files} } map { @{ $_->{acts} // [] } } @$digests;
	ok($full, 'VACUUM FULL\'s old files');
	ok((grep { $_->[6] eq "pg_temp_$table->{rewritten}{oid}" } @{ $full->{born} }), 'and what they were copied to');
	like(ids($full->{touched}, 1), qr/\b$table->{rewritten}{oid}\b/, 'the relation is named');
	return;
}

sub check_rows
{
	my ($pg, $digests, $xid) = @_;
	my $version = $pg->version;
	is(join(' ', map { @$_[3, 4] } @{ told($digests, $xid->{mistake})->{rows} }), '0 3000', "$version: DELETE without WHERE");
	my $half = told($digests, $xid->{half});
	is(join(' ', map { @$_[3, 4] } @{ $half->{rows} }), '1000 500', 'only what is not rolled back, in subtransactions');
	cmp_ok(scalar @{ $half->{subxids} }, '>=', 1, 'which are told');
	my $long = told($digests, $xid->{long});
	my $sum = 0;
	$sum += $_->[4] for @{ $long->{rows} };
	is($sum, 20000, "$version: rows of a transaction over $long->{parts} stretches");
	cmp_ok($long->{parts}, '>', 4, 'which are many');
	is($long->{commits}, 1, 'with one commit');
	ok((grep { my $d = $_; grep { $_->[0] == $xid->{long} && $_->[1] } @{ $d->{ends} // [] } } @$digests), 'which is among the ends');
	for my $d (@$digests)
	{
		ok(!$d->{truncated}, 'nothing is missing') || diag $d->{start} if $d->{truncated};
	}
	return;
}

sub check_prepared
{
	my ($pg, $table, $digests, $xid) = @_;
	my $waiting = told($digests, $xid->{waiting});
	is(ids($waiting->{dropped}, 2), $table->{waiting}{files}, $pg->version . ': a prepared drop');
	ok($waiting->{prepared}, 'is said to be one');
	cmp_ok($waiting->{parts}, '>', 1, 'its begin is in an earlier segment');
	cmp_ok($waiting->{class_deletes}, '>=', 2, 'where pg_class was changed');
	is(told($digests, $xid->{aborted}), undef, 'what was rolled back is not told');
	is(told($digests, $xid->{aborted_prepared})->{commits}, undef, 'a segment later it is an open one');
	return;
}

sub check_databases
{
	my ($pg, $digests, $database, $space) = @_;
	my $version = $pg->version;
	my @acts = map { @{ $_->{acts} // [] } } @$digests;
	while (my ($name, $oid) = each %$database)
	{
		my ($made) = grep { grep { $_->[6] eq $name } @{ $_->{born} // [] } } @acts;
		is(join(' ', map { @$_[1, 5] } @{ $made->{born} }), "$oid D", "$version: database $name is made");
		is($made->{created}, undef, 'and nothing is said of its files');
		my ($drop) = grep { grep { $_->[0] == $oid } @{ $_->{databases} // [] } } @acts;
		ok($drop && $drop->{lsn}, 'it is dropped');
		my ($first) = grep { $_->{oid} == $oid } map { @{ $_->{invalidated} // [] } } @$digests;
		is($first && $first->{name}, $name, 'before that it was made unusable');
	}
	my ($drop) = grep { grep { $_->[0] == $space } @{ $_->{tablespaces} // [] } } @acts;
	ok($drop && $drop->{lsn}, 'a tablespace is dropped');
	return;
}

sub check_digests
{
	my ($version) = @_;
	my $logical = $version == 17;
	my $pg = SeawallTest::Cluster->new(version => $version, name => "digest$version", segment_mb => 1,
		conf => "max_prepared_transactions = 10\nwal_keep_size = 2GB\nautovacuum = off\n" . ($logical ? "wal_level = logical\n" : ''));
	run_ok("$pg->{bin}/pg_resetwal", '-e', $epoch{$version}, $pg->pgdata) if $epoch{$version};
	$pg->start;
	my $place = path("digestspace$version");
	mkdir $place or die "$place: $!";
	as_user_owner($place);
	my %table = make_tables($pg);
	my $from = $pg->sql('SELECT pg_switch_wal(); SELECT pg_walfile_name(pg_current_wal_lsn())') =~ s/.*\n//r;
	my %xid;
	$xid{gone} = act($pg, 'DROP TABLE gone');
	$xid{emptied} = act($pg, 'TRUNCATE emptied');
	$pg->sql('VACUUM FULL rewritten');
	$xid{mistake} = act($pg, 'DELETE FROM mistake');
	$xid{half} = act($pg, 'SAVEPOINT a; DELETE FROM half WHERE id <= 500; RELEASE a; SAVEPOINT b; DELETE FROM half; ROLLBACK TO b;
		UPDATE half SET t = t || 1 WHERE id > 2000');
	$xid{waiting} = act($pg, 'DROP TABLE waiting', "PREPARE TRANSACTION 'w'");
	$xid{aborted} = act($pg, 'DROP TABLE given_up; TRUNCATE kept; CREATE TABLE never (a int)', 'ROLLBACK');
	$xid{aborted_prepared} = act($pg, 'DELETE FROM given_up; DROP TABLE kept', "PREPARE TRANSACTION 'a'");
	$pg->sql('SELECT pg_switch_wal()');
	$pg->sql("ROLLBACK PREPARED 'a'; COMMIT PREPARED 'w'; SELECT pg_create_restore_point('here')");
	$pg->sql('CREATE TEMP TABLE of_session AS SELECT generate_series(1, 1000) AS g; CREATE INDEX of_session_i ON of_session (g); TRUNCATE of_session');
	$xid{temporary} = act($pg, 'CREATE TEMP TABLE of_transaction (a int PRIMARY KEY, t text) ON COMMIT DROP');
	$xid{logical} = act($pg, 'TRUNCATE logical');
	my %database;
	for my $strategy ($version >= 15 ? ('wal_log', 'file_copy') : (''))
	{
		my $name = "shop_$strategy";
		$pg->sql("CREATE DATABASE $name TEMPLATE template0 " . ($strategy ? "STRATEGY $strategy" : ''));
		$database{$name} = $pg->sql("SELECT oid FROM pg_database WHERE datname = '$name'");
		$pg->sql("DROP DATABASE $name");
	}
	$pg->sql("CREATE TABLESPACE elsewhere LOCATION '$place'; CREATE DATABASE moving; ALTER DATABASE moving SET TABLESPACE elsewhere");
	my $moving = $pg->sql("SELECT oid FROM pg_database WHERE datname = 'moving'");
	$pg->sql('ALTER DATABASE moving SET TABLESPACE pg_default');
	my $space = $pg->sql("SELECT oid FROM pg_tablespace WHERE spcname = 'elsewhere'");
	$pg->sql('DROP TABLESPACE elsewhere');
	$xid{long} = act($pg, 'DELETE FROM long');
	my $logical_oid = $pg->sql("SELECT 'logical'::regclass::oid");
	my @digests = digests($pg, $from);
	check_relations($pg, \%table, \@digests, \%xid);
	check_rows($pg, \@digests, \%xid);
	check_prepared($pg, \%table, \@digests, \%xid);
	check_databases($pg, \@digests, \%database, $space);
	my $truncate = told(\@digests, $xid{logical});
	is(ids($truncate->{truncated}, 1), $logical ? $logical_oid : '', "$version: TRUNCATE by name") or diag explain $truncate;
	is(join(' ', map { $_->{name} } map { @{ $_->{points} // [] } } @digests), 'here', 'the restore point');
	is(told(\@digests, $xid{temporary}), undef, 'a temporary table is not told');
	my @acts = map { @{ $_->{acts} // [] } } @digests;
	is((grep { $_->[6] =~ /of_session|never/ } map { @{ $_->{born} // [] } } @acts), 0, 'by no name');
	is((grep { $_->[0] == $moving } map { @{ $_->{databases} // [] } } @acts), 0, 'a database that is moved is not dropped');
	is((grep { !$_->{lsn} && $_->{dropped} } @acts), 0, 'no file goes without a commit');
	is((grep { $_->{verdict} ne 'complete' } @digests), 0, 'all is complete');
	$pg->stop;
	return;
}

check_digests($_) for versions();
check_version($_) for versions();
done_testing();
