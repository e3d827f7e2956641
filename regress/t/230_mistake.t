# The night that all of this is for: somebody drops a table in one database, deletes without WHERE in another, truncates
# in a third, drops a fourth, and work goes on.  `seawall find` alone must tell the line that brings each one back: to the
# commit before, not one earlier, not one later.  Then the same on three timelines, after two failovers.
#
# Which commits are before is asked of PostgreSQL (pg_walinspect; on 14, which has none, of the WAL reader's test program).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep);

my $s3 = SeawallTest::Gateway->new;

# The table in each database that something happens to; the last one goes with its database.
my %victim = (shop => 'orders', crm => 'customers', stats => 'hits', extra => 'notes');
my $rows_before = 2500;

# --- servers and work ---------------------------------------------------------------------

sub make_databases
{
	my ($pg) = @_;
	for my $db ('postgres', sort keys %victim)
	{
		$pg->sql("CREATE DATABASE $db") if $db ne 'postgres';
		$pg->sql(<<'SQL', $db);
CREATE TABLE beat (id bigserial PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id());
CREATE TABLE full_of_holes AS SELECT g AS i, repeat('x', 200) AS t FROM generate_series(1, 2000) g;
CREATE TABLE rebuilt AS SELECT g AS i, repeat('y', 100) AS t FROM generate_series(1, 300) g;
CREATE INDEX rebuilt_i ON rebuilt (i);
CREATE TABLE kept AS SELECT g AS i FROM generate_series(1, 300) g;
SQL
		$pg->sql(<<"SQL", $db) if $victim{$db};
CREATE TABLE $victim{$db} (id bigserial PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id(), t text);
INSERT INTO $victim{$db} (t) SELECT repeat('z', 50) FROM generate_series(1, $rows_before);
CREATE INDEX ON $victim{$db} (t);
SQL
	}
	# the catalogs themselves have other files than the first ones
	$pg->sql('VACUUM FULL pg_class', $_) for sort keys %victim;
	$pg->sql('CREATE EXTENSION pg_walinspect') if $pg->version >= 15;
	return;
}

# Two sessions in each database: each transaction leaves its number in `beat`, and in the table that will be hit.
sub start_work
{
	my ($pg, @databases) = @_;
	my %work;
	for my $db (@databases)
	{
		my $script = path("work-$db.sql");
		spew($script, 'BEGIN; INSERT INTO beat DEFAULT VALUES; '
			. ($victim{$db} ? "INSERT INTO $victim{$db} (t) VALUES ('w'); " : '') . "COMMIT;\n");
		$work{$db} = SeawallTest::spawn(pg_client('pgbench'), '-n', '-c', 2, '-R', 60, '-T', 600, '-f', $script,
			'-h', $pg->sockets, '-p', 5432, '-U', 'postgres', $db);
	}
	return \%work;
}

sub stop_work
{
	my ($work, @databases) = @_;
	@databases = sort keys %$work unless @databases;
	for my $db (@databases)
	{
		my $child = delete $work->{$db} or next;
		kill 'TERM', $child->{pid};
		SeawallTest::reap($child);
	}
	return;
}

# Much that looks like a loss and is none.
sub make_noise
{
	my ($pg) = @_;
	$pg->sql(<<'SQL', 'crm');
VACUUM FULL pg_class;
VACUUM FULL rebuilt;
REINDEX TABLE rebuilt;
CREATE TEMP TABLE mine (i int);
INSERT INTO mine VALUES (1);
TRUNCATE mine;
DROP TABLE mine;
BEGIN; DROP TABLE kept; ROLLBACK;
BEGIN; TRUNCATE kept; SAVEPOINT a; ROLLBACK;
BEGIN; SAVEPOINT a; DROP TABLE kept; ROLLBACK TO a; UPDATE kept SET i = i WHERE i = 1; COMMIT;
BEGIN; CREATE TABLE brief (i int); INSERT INTO brief VALUES (1); DROP TABLE brief; COMMIT;
SQL
	# less than is told without a question, and VACUUM then cuts the file
	$pg->sql('DELETE FROM full_of_holes WHERE i > 1200', 'crm');
	$pg->sql('VACUUM full_of_holes', 'crm');
	return;
}

# Do it, and say in which transaction.
sub mistake
{
	my ($pg, $db, $sql) = @_;
	sleep 0.4;
	my ($xid) = $pg->sql("BEGIN; $sql; SELECT 'xid=' || pg_current_xact_id(); COMMIT", $db) =~ /^xid=(\d+)$/m;
	sleep 0.4;
	return $xid;
}

# --- what PostgreSQL says of its WAL -----------------------------------------------------------

# Ends of transactions from an LSN on: {xid => LSN}; and where databases became unusable: {OID => LSN}.
sub wal_of
{
	my ($pg, $from) = @_;
	my (%commit, %gone);
	return wal_by_reader($pg) if $pg->version < 15;
	for (split /\n/, $pg->sql("SELECT xid, start_lsn - '0/0' FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())"
		. " WHERE resource_manager = 'Transaction' AND record_type LIKE 'COMMIT%'"))
	{
		my ($xid, $lsn) = split /\|/;
		$commit{$xid} = $lsn;
	}
	my $inplace;
	for (split /\n/, $pg->sql("SELECT record_type, start_lsn - '0/0', description FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())"
		. " WHERE resource_manager = 'Database' AND record_type = 'DROP' OR resource_manager = 'Heap' AND record_type = 'INPLACE'"
		. " AND block_ref LIKE '%rel 1664/0/1262 %'"))
	{
		my ($type, $lsn, $text) = split /\|/;
		$inplace = $lsn if $type eq 'INPLACE';
		$gone{$1} = $inplace // $lsn if $type eq 'DROP' && $text =~ m{/(\d+)\s*$};
	}
	return { commit => \%commit, gone => \%gone };
}

# It knows whole transaction numbers from a checkpoint on, so it reads from the oldest segment there is, on whichever
# server and timeline before this one's.
my %segment;
sub wal_by_reader
{
	my ($pg) = @_;
	my (%commit, %gone, $inplace);
	# behind the end there are recycled segments
	my ($timeline, $last) = $pg->sql('SELECT pg_walfile_name(pg_current_wal_flush_lsn())') =~ /^(.{8})(.{16})$/;
	my $first = $last;
	for (sort glob($pg->pgdata . "/pg_wal/$timeline*"))
	{
		next unless m{/.{8}([0-9A-F]{16})$} && $1 le $last;
		$first = $1 if $1 lt $first;
		$segment{$1} = $_;
	}
	delete @segment{ grep { $_ gt $last || ($timeline eq '00000001' && $_ lt $first) } keys %segment };
	my $size = $pg->sql("SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'");
	my $r = run("$ENV{BUILDDIR}/regress/unit/t_wal_meaning", 'list', $size, map { $segment{$_} } sort keys %segment,
		{ root => 1, timeout => 60 });
	for (split /\n/, $r->{out})
	{
		$commit{$2} = hex $1 if /^([0-9A-F]+) COMMIT (\d+) /;
		$inplace = hex $1 if /^([0-9A-F]+) pg_database IN_PLACE /;
		$gone{$2} = $inplace // hex $1 if m{^([0-9A-F]+) DATABASE_DROP \d+/(\d+)};
	}
	return { commit => \%commit, gone => \%gone };
}

sub lsn_number { my ($hi, $lo) = split m{/}, $_[0]; return hex($hi) * 2**32 + hex $lo }

# Numbers of transactions in a table.
sub xids { my ($pg, $db, $table) = @_; return split /\n/, $pg->sql("SELECT DISTINCT xid::text::bigint FROM $table ORDER BY 1", $db) }

# --- what was found, and what it gives back ------------------------------------------------------

sub find
{
	my ($config, @arg) = @_;
	my $r = seawall('find', '--json', @arg, { config => $config });
	is($r->{status}, 0, "find @arg") or diag SeawallTest::describe($r);
	return eval { decode_json($r->{out})->{found} } // [];
}

sub told
{
	return join "\n", map { $_->{kind} eq 'database dropped' ? "$_->{kind} $_->{database}"
		: "$_->{kind} $_->{database}." . ($_->{schema} // '?') . '.' . ($_->{relation} // $_->{relation_oid}) } @_;
}

# Paste the line as it is, but for DIR; start the server, and let it recover.
my $serial = 0;
sub paste
{
	my ($pg, $config, $line) = @_;
	my $name = 'r' . ++$serial;
	my $dir = path($name);
	(my $command = $line) =~ s/\bDIR\b/$dir/ or die "no DIR in: $line";
	program('seawall');
	my $r = run('/bin/sh', '-c', $command, { env => { PATH => path('bin') . ":$ENV{PATH}", SEAWALL_CONFIG => $config } });
	ok(defined $r->{status} && $r->{status} == 0, $line) or diag(SeawallTest::describe($r)), return;
	my $new = SeawallTest::Cluster->new(version => $pg->version, name => $name, from => $dir);
	$new->own_settings("archive_mode = off\nhot_standby = on\nfsync = off\n");
	$new->start;
	my $paused = eval { $new->wait_for_sql('SELECT pg_get_wal_replay_pause_state()', 'paused', 60); 1 };
	ok($paused, '... recovery stops there') or diag($@), return;
	return $new;
}

# The transaction that did it is not undone while recovery pauses before its COMMIT, and holds its locks: a table that it
# drops or truncates can be read only when recovery has ended.
sub end_recovery
{
	my ($new) = @_;
	$new->sql('SELECT pg_wal_replay_resume()');
	$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60);
	$new->sql('CREATE TABLE works AS SELECT 1 AS i; DROP TABLE works');
	pass('... and work can go on');
	return;
}

# Two lists of numbers as sets: '' or what is wrong.
sub differ
{
	my ($got, $want) = @_;
	my %got = map { $_ => 1 } @$got;
	my %want = map { $_ => 1 } @$want;
	my @missing = grep { !$got{$_} } @$want;
	my @extra = grep { !$want{$_} } @$got;
	return '' unless @missing || @extra;
	return scalar(@missing) . ' missing: ' . join(' ', @missing[ 0 .. ($#missing < 4 ? $#missing : 4) ])
		. '; ' . scalar(@extra) . ' too many: ' . join(' ', @extra[ 0 .. ($#extra < 4 ? $#extra : 4) ]);
}

# Every commit before `target` is there, and none behind it.
#   known: {database => [transactions that ever wrote to beat]}, commit: {xid => LSN} on the way to the target
sub exactly_before
{
	my ($new, $name, $target, $known, $commit) = @_;
	for my $db (sort keys %$known)
	{
		my @want = grep { defined $commit->{$_} && $commit->{$_} < $target } @{ $known->{$db} };
		is(differ([ xids($new, $db, 'beat') ], \@want), '', "$name: $db has exactly the " . scalar(@want) . ' commits before');
	}
	return;
}

# The lost table of a database, with all of its rows.  backed: transactions that filled it before the load.
sub has_all_rows
{
	my ($new, $name, $db, $target, $known, $commit) = @_;
	my @want = grep { defined $commit->{$_} && $commit->{$_} < $target } @{ $known->{$db} };
	is($new->sql("SELECT count(*) FROM $victim{$db} WHERE t <> 'w'", $db), $rows_before, "$name: the rows are back");
	is(differ([ split /\n/, $new->sql("SELECT xid::text::bigint FROM $victim{$db} WHERE t = 'w'", $db) ], \@want), '',
		'... with the last one before');
	is($new->sql("SELECT count(*) FROM $victim{$db} WHERE t = repeat('z', 50)", $db), $rows_before, '... as they were');
	return;
}

# --- one timeline ----------------------------------------------------------------------------------

sub one_timeline
{
	my ($version, $kind) = @_;
	my $site = new_site("m$version$kind", kind => $kind, gateway => $s3, version => $version, segment_mb => $kind eq 'file' ? 1 : 16,
		conf => "wal_keep_size = 1GB\nmax_prepared_transactions = 5\n");
	my ($pg, $config) = @$site{qw(pg config)};
	make_databases($pg);
	my $from = $pg->sql('SELECT pg_current_wal_insert_lsn()');
	my $work = start_work($pg, 'postgres', sort keys %victim);
	my $r = seawall('backup', { config => $config });
	is($r->{status}, 0, 'backup under load') or diag SeawallTest::describe($r);

	my %xid;
	my $oid = $pg->sql("SELECT oid FROM pg_database WHERE datname = 'extra'");
	$xid{shop} = mistake($pg, 'shop', 'DROP TABLE orders');
	make_noise($pg);
	$xid{crm} = mistake($pg, 'crm', 'DELETE FROM customers');
	$xid{stats} = mistake($pg, 'stats', 'TRUNCATE hits');
	make_noise($pg);
	stop_work($work, 'extra');
	my %known = (extra => [ xids($pg, 'extra', 'beat') ]);
	sleep 0.3;
	$pg->sql('DROP DATABASE extra WITH (FORCE)');
	sleep 0.3;
	make_noise($pg);
	stop_work($work);
	$pg->switch_and_wait;

	$known{$_} = [ xids($pg, $_, 'beat') ] for qw(postgres shop crm stats);
	my $wal = wal_of($pg, $from);
	my $commit = $wal->{commit};
	my %target = map { $_ => $commit->{ $xid{$_} } } keys %xid;
	$target{extra} = $wal->{gone}{$oid};
	is(scalar(grep { defined } values %target), 4, 'PostgreSQL knows where each mistake is');
	cmp_ok(scalar(@{ $known{postgres} }), '>', 100, 'there was work') or return;

	is(told(@{ find($config) }), join("\n", 'dropped shop.public.orders', 'mass change crm.public.customers',
		'truncated stats.public.hits', 'database dropped extra'), 'find tells the four mistakes, and nothing else');
	my %line = (
		shop => find($config, '--dropped', 'orders')->[0]{restore},
		crm => find($config, '--mass-changes', 'customers')->[0]{restore},
		stats => find($config, '--truncated', 'hits')->[0]{restore},
		extra => find($config, '--dropped', 'extra')->[0]{restore},
	);
	my $text = seawall('find', '--dropped', 'orders', { config => $config });
	like($text->{out}, qr/^20\S+ \S+  dropped table shop\.public\.orders\n.*transaction $xid{shop}\b.*\n    \Q$line{shop}\E$/m,
		'the text has the same line') or diag $text->{out};
	for my $db (qw(shop crm stats extra))
	{
		my $new = paste($pg, $config, $line{$db}) or next;
		end_recovery($new) unless $db eq 'crm';
		has_all_rows($new, $db, $db, $target{$db}, \%known, $commit);
		exactly_before($new, $db, $target{$db}, \%known, $commit);
		is($new->sql("SELECT to_regclass('orders') IS NULL", 'shop'), $db eq 'shop' ? 'f' : 't', '... and the mistakes before are not undone');
		$new->stop('immediate');
	}
	$pg->stop('immediate');
	return;
}

# --- three timelines --------------------------------------------------------------------------------

# A standby from the repository, that streams from `from`; its configuration.
sub make_standby
{
	my ($name, $site, $config, $from) = @_;
	my $dir = path($name);
	my $r = seawall('restore', '--standby', '--pgdata', $dir, { config => $config });
	is($r->{status}, 0, "$name: restore --standby") or diag SeawallTest::describe($r);
	my $standby = SeawallTest::Cluster->new(version => $from->version, name => $name, from => $dir);
	my $own = write_config(path("$name.conf"), seawall => { workers => 2 },
		cluster => { pgdata => $dir, 'pg-host' => $standby->sockets, 'pg-port' => 5432, 'pg-user' => 'postgres', 'archive-timeout' => '60s' },
		repos => [ $site->{repo} ]);
	$standby->own_settings("archive_command = '" . program('seawall-push') . " --config $own %p'\nhot_standby = on\n");
	# what is restored is set in postgresql.auto.conf, which wins
	append("$dir/postgresql.auto.conf", "primary_conninfo = '" . $from->conninfo . "'\nrecovery_target_timeline = 'latest'\n");
	$standby->start;
	$from->wait_for_sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", '1', 60);
	return ($standby, $own);
}

sub caught_up
{
	my ($pg, $standby) = @_;
	my $lsn = $pg->sql('SELECT pg_current_wal_insert_lsn()');
	$standby->wait_for_sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'", 't', 60);
	return;
}

# Where the timelines part, as the server's own history file says.
sub forks
{
	my ($pg, $timeline) = @_;
	return map { /^\s*(\d+)\s+(\S+)/ ? lsn_number($2) : () } split /\n/, slurp(sprintf '%s/pg_wal/%08X.history', $pg->pgdata, $timeline);
}

sub three_timelines
{
	my ($version) = @_;
	my $site = new_site("t$version", kind => 'file', version => $version, segment_mb => 1, conf => "wal_keep_size = 1GB\n");
	my ($first, $config) = @$site{qw(pg config)};
	make_databases($first);
	$first->sql("CREATE TABLE late AS SELECT g AS i FROM generate_series(1, $rows_before) g", 'shop');
	my %from = (1 => $first->sql('SELECT pg_current_wal_insert_lsn()'));
	my $oid = $first->sql("SELECT oid FROM pg_database WHERE datname = 'extra'");
	is(seawall('backup', { config => $config })->{status}, 0, 'backup');
	my ($second, $second_config) = make_standby("u$version", $site, $config, $first);
	my $work = start_work($first, 'postgres', sort keys %victim);
	my %xid;
	$xid{shop} = mistake($first, 'shop', 'DROP TABLE orders');
	make_noise($first);
	caught_up($first, $second);
	# the first failover leaves a primary that does not know of it, and somebody who works on there
	$second->promote;
	$xid{late} = mistake($first, 'shop', 'DROP TABLE late');
	stop_work($work);
	$first->switch_and_wait;
	my %abandoned = map { $_ => [ xids($first, $_, 'beat') ] } qw(postgres shop crm stats extra);
	my %wal = (1 => wal_of($first, $from{1}));
	$first->stop('immediate');

	$from{2} = $second->sql('SELECT pg_current_wal_insert_lsn()');
	$work = start_work($second, 'postgres', 'crm', 'stats', 'extra');
	$second->switch_and_wait;
	my ($third, $third_config) = make_standby("v$version", $site, $second_config, $second);
	$xid{crm} = mistake($second, 'crm', 'DELETE FROM customers');
	make_noise($second);
	stop_work($work);
	caught_up($second, $third);
	$wal{2} = wal_of($second, (sprintf '%X/%X', map { ($_ >> 32, $_ & 0xffffffff) } (forks($second, 2))[0]));
	$second->kill9;
	$third->promote;

	$work = start_work($third, 'postgres', 'crm', 'stats', 'extra');
	$xid{stats} = mistake($third, 'stats', 'TRUNCATE hits');
	stop_work($work, 'extra');
	my %known = (extra => [ xids($third, 'extra', 'beat') ]);
	$third->sql('DROP DATABASE extra WITH (FORCE)');
	sleep 0.3;
	stop_work($work);
	$third->switch_and_wait;
	$known{$_} = [ xids($third, $_, 'beat') ] for qw(postgres shop crm stats);
	my @fork = forks($third, 3);
	is(scalar(@fork), 2, 'two failovers');
	$wal{3} = wal_of($third, sprintf '%X/%X', map { ($_ >> 32, $_ & 0xffffffff) } $fork[1]);

	# each timeline's part of the way
	my %commit;
	for my $timeline (1 .. 3)
	{
		my ($begin, $end) = ($timeline == 1 ? 0 : $fork[ $timeline - 2 ], $timeline == 3 ? 2**62 : $fork[ $timeline - 1 ]);
		my $c = $wal{$timeline}{commit};
		$commit{$_} = $c->{$_} for grep { $c->{$_} >= $begin && $c->{$_} < $end } keys %$c;
	}
	my %target = map { $_ => $commit{ $xid{$_} } } qw(shop crm stats);
	$target{extra} = $wal{3}{gone}{$oid};
	$target{late} = $wal{1}{commit}{ $xid{late} };
	is(scalar(grep { defined } values %target), 5, 'PostgreSQL knows where each mistake is');
	cmp_ok($target{late}, '>=', $fork[0], 'one of them is on an end that was left');
	restore_three($third, $third_config, { xid => \%xid, target => \%target, known => \%known, commit => \%commit,
		abandoned => \%abandoned, first => $wal{1}{commit} });
	$third->stop('immediate');
	return;
}

sub restore_three
{
	my ($pg, $config, $s) = @_;
	my $found = find($config);
	is(told(@$found), join("\n", 'dropped shop.public.orders', 'dropped shop.public.late', 'mass change crm.public.customers',
		'truncated stats.public.hits', 'database dropped extra'), 'find tells the mistakes of all timelines, and nothing else');
	is(join(' ', map { $_->{timeline} } @$found), '1 1 2 3 3', '... and on which one each is');
	my %line = map { ($_->{relation} // $_->{database}) => $_->{restore} } @$found;
	for my $db (qw(shop crm stats extra))
	{
		my $new = paste($pg, $config, $line{ $db eq 'extra' ? 'extra' : $victim{$db} } // 'none') or next;
		end_recovery($new) unless $db eq 'extra';
		has_all_rows($new, $db, $db, $s->{target}{$db}, $s->{known}, $s->{commit});
		exactly_before($new, $db, $s->{target}{$db}, $s->{known}, $s->{commit});
		$new->stop('immediate');
	}
	my $new = paste($pg, $config, $line{late} // 'none') or return;
	end_recovery($new);
	is($new->sql('SELECT count(*) FROM late', 'shop'), $rows_before, 'the end that was left: the table is back');
	exactly_before($new, 'the end that was left', $s->{target}{late}, $s->{abandoned}, $s->{first});
	$new->stop('immediate');
	return;
}

my @versions = versions();
for my $version (@versions)
{
	subtest "PostgreSQL $version" => sub { one_timeline($version, 'file') };
	subtest "PostgreSQL $version, S3" => sub { one_timeline($version, 's3') } if $version == $versions[0];
	subtest "PostgreSQL $version, three timelines" => sub { three_timelines($version) };
}
done_testing();
