# seawall find: what was dropped, truncated, rewritten and changed, by name, and the line that brings it back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep);

our ($pg, $repo, $config);

# What find says, as JSON; its status is checked.
sub find
{
	my ($status, @arg) = @_;
	my $r = seawall('find', '--json', @arg, { config => $config });
	is($r->{status}, $status, "find @arg: status") or diag SeawallTest::describe($r);
	return length $r->{out} ? decode_json($r->{out}) : { found => [], places => [] };
}

sub name_of
{
	my ($f) = @_;
	return $f->{name} if $f->{kind} eq 'restore point';
	return $f->{database} // $f->{database_oid} if $f->{kind} eq 'database dropped';
	return $f->{relation} // $f->{relation_oid} if $f->{kind} eq 'tablespace dropped';
	return "$f->{database}/" . ($f->{relation_oid} || $f->{filenode}) if !defined $f->{relation};
	return join '.', $f->{database}, $f->{schema} // '?', $f->{relation};
}

sub told { return join "\n", map { "$_->{kind} " . name_of($_) } @{ $_[0]{found} } }

# Do it in a transaction that goes on after its own number was asked for; the number.
sub transaction
{
	my ($sql, $db) = @_;
	my @lines = split /\n/, $pg->sql("BEGIN; $sql; SELECT 'xid=' || pg_current_xact_id(); COMMIT;", $db);
	my ($xid) = map { /^xid=(\d+)/ ? $1 : () } @lines;
	return $xid;
}

sub prepare
{
	$pg->sql('CREATE DATABASE shop');
	$pg->sql('CREATE DATABASE other');
	$pg->sql('CREATE DATABASE gone');
	my $dir = SeawallTest::make_dir(path('ts' . $pg->version));
	$pg->sql("CREATE TABLESPACE spare LOCATION '$dir'");
	my $rows = 'AS SELECT i, repeat(\'x\', 100) AS t FROM generate_series(1, 3000) i';
	$pg->sql("CREATE SCHEMA sales; CREATE TABLE sales.orders $rows; ALTER TABLE sales.orders ADD PRIMARY KEY (i);"
		. " CREATE TABLE $_ $rows;" . ' CREATE VIEW looks AS SELECT 1 AS one;', 'shop')
		for 'items';
	$pg->sql("CREATE TABLE $_ $rows", 'shop') for qw(wide clustered many several keep keep2 subdrop prepdrop oldname vacuumed truncdrop1 truncdrop2 moved);
	$pg->sql("CREATE UNLOGGED TABLE $_ $rows", 'shop') for qw(fleeting settled);
	$pg->sql("CREATE TABLE orders $rows", 'other');
	$pg->sql("CREATE TABLE notes $rows", 'gone');
	$pg->sql('CREATE TABLE marks (word text)');
	$pg->sql('VACUUM ANALYZE', 'shop');
	$pg->sql("INSERT INTO marks VALUES ('start')");
	return;
}

# Everything that is told, and much that must not be.
sub mistakes
{
	my %x;
	$x{drop} = transaction('DROP TABLE sales.orders', 'shop');
	$x{truncate} = transaction('TRUNCATE items', 'shop');
	$pg->sql('VACUUM FULL wide', 'shop');
	$pg->sql('CREATE INDEX c ON clustered (i); CLUSTER clustered USING c', 'shop');
	$x{delete} = transaction('DELETE FROM many', 'shop');
	$x{update} = transaction('UPDATE several SET t = t WHERE i <= 1500', 'shop');
	# nothing of this is anybody's loss
	$pg->sql('CREATE TEMP TABLE mine AS SELECT 1 AS i; DROP TABLE mine; CREATE TEMP TABLE mine2 (i int); TRUNCATE mine2', 'shop');
	$pg->sql('DELETE FROM vacuumed WHERE i > 10; VACUUM vacuumed', 'shop');
	$pg->sql('BEGIN; DROP TABLE keep; ROLLBACK; BEGIN; TRUNCATE keep; ROLLBACK', 'shop');
	$pg->sql("BEGIN; SAVEPOINT a; DROP TABLE keep2; ROLLBACK TO a; INSERT INTO keep VALUES (0, 'x'); COMMIT", 'shop');
	$pg->sql('BEGIN; CREATE TABLE brief (i int); INSERT INTO brief VALUES (1); DROP TABLE brief; COMMIT', 'shop');
	# in subtransactions, and prepared
	my @out = split /\n/, $pg->sql("BEGIN; SELECT pg_current_xact_id(); SAVEPOINT s; DROP TABLE subdrop;"
		. " SELECT 'sub=' || xid FROM (SELECT max(transactionid::text::bigint) AS xid FROM pg_locks WHERE locktype = 'transactionid' AND pid = pg_backend_pid()) l;"
		. ' RELEASE s; COMMIT;', 'shop');
	($x{top}) = grep { /^\d+$/ } @out;
	($x{sub}) = map { /^sub=(\d+)/ ? $1 : () } @out;
	$pg->sql("BEGIN; DROP TABLE prepdrop; PREPARE TRANSACTION 'p'", 'shop');
	$pg->sql("INSERT INTO marks VALUES ('between')");
	$pg->sql("COMMIT PREPARED 'p'", 'shop');
	# made after the backup; renamed after it
	$pg->sql('CREATE TABLE late AS SELECT 1 AS i', 'shop');
	$pg->sql('DROP TABLE late; ALTER TABLE oldname RENAME TO newname', 'shop');
	$x{renamed} = transaction('DROP TABLE newname', 'shop');
	$x{both} = transaction('TRUNCATE truncdrop1; DROP TABLE truncdrop2', 'shop');
	$x{other} = transaction('DROP TABLE orders', 'other');
	$pg->sql("SELECT pg_create_restore_point('migration'); SELECT pg_create_restore_point('twice'); SELECT pg_create_restore_point('twice')");
	$pg->sql("INSERT INTO marks VALUES ('before the last')");
	$pg->sql('DROP DATABASE gone');
	$pg->sql('DROP TABLESPACE spare');
	$pg->sql("INSERT INTO marks VALUES ('after')");
	return \%x;
}

sub check_kinds
{
	my ($x) = @_;
	# 14's WAL does not tell which of a transaction's tables was dropped, and which truncated
	my @either = $pg->version >= 15 ? () : map { "dropped or truncated shop.public.$_" } qw(truncdrop1 truncdrop2);
	is(told(find(0, '--dropped')), join("\n", 'dropped shop.sales.orders', 'dropped shop.public.subdrop', 'dropped shop.public.prepdrop',
		'dropped shop.public.late', 'dropped shop.public.newname', @either ? @either : 'dropped shop.public.truncdrop2', 'dropped other.public.orders',
		'database dropped gone', 'tablespace dropped spare'), 'what was dropped, and nothing else');
	is(told(find(0, '--truncated')), join("\n", 'truncated shop.public.items', @either ? @either : 'truncated shop.public.truncdrop1'),
		'what was truncated: not what was dropped, not by VACUUM');
	is(told(find(0, '--rewritten')), join("\n", 'rewritten shop.public.wide', 'rewritten shop.public.clustered'), 'what was rewritten');
	is(told(find(0, '--mass-changes')), join("\n", 'mass change shop.public.many', 'mass change shop.public.several', 'mass change shop.public.vacuumed'),
		'deletes and updates of many rows');
	is(told(find(0, '--mass-changes', 2995)), "mass change shop.public.many", '... of more rows');
	is(told(find(0, '--restore-point')), join("\n", 'restore point migration', 'restore point twice', 'restore point twice'), 'restore points');
	my $all = find(0);
	is(scalar(@{ $all->{found} }), 9 + 2 + 3 + 3, 'without a question: all but what was only rewritten') or diag told($all);
	is(join(' ', sort { $a cmp $b } map { $_->{time} } @{ $all->{found} }), join(' ', map { $_->{time} } @{ $all->{found} }), '... in the order of time');
	return;
}

sub check_filters
{
	my ($x) = @_;
	is(told(find(0, '--dropped', 'orders')), "dropped shop.sales.orders\ndropped other.public.orders", 'a pattern matches in every database');
	is(told(find(0, '--dropped', 'sales.*')), 'dropped shop.sales.orders', '... with a schema');
	is(told(find(0, '--dropped', 'other.*.ord?rs')), 'dropped other.public.orders', '... with a database');
	is(told(find(0, '--dropped', '--truncated', 'items', 'gone')), "truncated shop.public.items\ndatabase dropped gone", 'several questions and patterns');
	is(told(find(0, '--dropped', '--database', 'other')), 'dropped other.public.orders', '--database');
	my $found = find(0, '--dropped')->{found};
	is(told(find(0, '--dropped', '--since', $found->[1]{time}, '--until', $found->[3]{time})), told({ found => [ @$found[ 1 .. 3 ] ] }), '--since and --until');
	is(told(find(0, '--dropped', '--between', "$found->[1]{time}/$found->[3]{time}")), told({ found => [ @$found[ 1 .. 3 ] ] }), '--between');
	is(told(find(0, '--dropped', '--limit', 2)), told({ found => [ @$found[ -2, -1 ] ] }), '--limit keeps the newest');
	find(3, '--dropped', 'nosuch');
	my $r = seawall('find', '--dropped', 'nosuch', { config => $config });
	is($r->{status}, 3, 'nothing found ends with status 3');
	like($r->{out}, qr/^nothing of that kind was found\nlooked at timeline 1: [0-9A-F]{24} to [0-9A-F]{24}, transactions from 20.* to 20/m, '... in words, with what was looked at');
	is($r->{err}, '', '... and nothing is wrong');
	for my $wrong ([ '--around', 'noon' ], [ '--xid', 'x' ], [ '--since', '2026-11-20 14:00' ], [ '--between', '1' ],
		[ '--xid', 700, '--around', '2026-11-20 14:00Z' ], [ '--xid', 700, 'pattern' ], [ '--target-timeline', 'latest' ], [ '--target-timeline', 99 ])
	{
		$r = seawall('find', @$wrong, { config => $config });
		is($r->{status}, 2, "find @$wrong is refused");
		is_one_line($r->{err}, '... in one line');
	}
	return;
}

# Whatever asks to stop just before the COMMIT of what removed its files before is told where to stop instead.
sub check_halves
{
	my ($gone) = @_;
	my $line = "seawall restore --pgdata DIR --target-lsn $gone->{target_lsn} --target-exclusive";
	is(find(0, '--xid', $gone->{xid})->{places}[0]{restore_without}, $line, "$gone->{kind}: without its transaction, by LSN");
	my $just_before = $gone->{time} =~ s/\.(\d{6})/sprintf '.%06d', $1 - 1/er;
	is(find(0, '--around', $just_before)->{places}[0]{restore}, $line, '... and before its time');
	for my $target ([ '--target-xid', $gone->{xid} % 2**32, '--target-exclusive' ], [ '--target-time', $just_before ])
	{
		my $r = seawall('plan', @$target, { config => $config });
		like($r->{err}, qr/warning: recovery stops WITHIN the DROP .*: --target-lsn $gone->{target_lsn} --target-exclusive$/m,
			"... a plan @$target warns of it");
	}
	my $r = seawall('plan', '--target-lsn', $gone->{target_lsn}, '--target-exclusive', { config => $config });
	is($r->{err}, '', '... and not of what is right') or diag SeawallTest::describe($r);
	return;
}

sub check_details
{
	my ($x) = @_;
	my ($orders) = @{ find(0, '--dropped', 'sales.orders')->{found} };
	is($orders->{xid}, $x->{drop}, 'the transaction is the one that did it');
	is("$orders->{rows_before} $orders->{relkind}", '3000 r', '... the rows that were there');
	cmp_ok($orders->{bytes_before}, '>', 300_000, '... and bytes');
	is($orders->{restore}, 'seawall restore --pgdata DIR --target-xid ' . ($x->{drop} % 2**32) . ' --target-exclusive', '... and the line to paste');
	my ($many) = @{ find(0, '--mass-changes', 'many')->{found} };
	is("$many->{deletes} $many->{updates} $many->{xid}", "3000 0 $x->{delete}", 'how many rows were deleted');
	my ($some) = @{ find(0, '--mass-changes', 'several')->{found} };
	is("$some->{deletes} $some->{updates} $some->{xid}", "0 1500 $x->{update}", '... and updated');
	my ($sub) = @{ find(0, '--dropped', 'subdrop')->{found} };
	is($sub->{xid}, $x->{top}, 'what a subtransaction did is told with its top one');
	my ($gone) = @{ find(0, '--dropped', 'gone')->{found} };
	like($gone->{restore}, qr/^seawall restore --pgdata DIR --target-lsn $gone->{target_lsn} --target-exclusive$/, 'DROP DATABASE is undone by LSN');
	is($pg->sql("SELECT '$gone->{target_lsn}'::pg_lsn < '$gone->{lsn}'"), 't', '... before its COMMIT');
	check_halves($_) for $gone, find(0, '--dropped', 'spare')->{found}[0];
	my ($prepared) = @{ find(0, '--dropped', 'prepdrop')->{found} };
	ok($prepared->{prepared}, 'a prepared transaction is said to be one');
	my ($migration, @twice) = @{ find(0, '--restore-point')->{found} };
	is($migration->{restore}, 'seawall restore --pgdata DIR --target-name migration', 'a restore point by its name');
	like($_->{restore}, qr/--target-lsn \S+ --target-exclusive$/, '... by LSN where the name is not unique') for @twice;
	my $r = seawall('find', '--dropped', 'sales.orders', "--cluster=main", { config => $config });
	my $xid = $x->{drop} % 2**32;
	like($r->{out}, qr/^20\S+ \S+\+00  dropped table shop\.sales\.orders\n    LSN \S+, transaction $x->{drop}, timeline 1; at the last backup about 3000 rows, \d+.*\n    seawall restore --cluster main --pgdata DIR --target-xid $xid --target-exclusive\n\z/,
		'text says the same') or diag $r->{out};
	return;
}

sub check_transactions
{
	my ($x) = @_;
	for my $case ([ $x->{drop}, 0, $x->{drop} ], [ $x->{drop} + 2**32 * 7, 3 ], [ $x->{sub}, 1, $x->{top} ], [ 4_000_000_000, 3 ])
	{
		my ($xid, $sub, $top) = @$case;
		if ($sub == 3) { is(scalar(@{ find(3, '--xid', $xid)->{places} }), 0, "transaction $xid is not there"); next }
		my $places = find(0, '--xid', $xid)->{places};
		is(scalar(@$places), 1, "transaction $xid ended once") or next;
		my $p = $places->[0];
		is("$p->{transaction}{end} $p->{transaction}{xid} " . ($p->{subtransaction} ? 1 : 0), "commit $top $sub", '... as the one that it was part of');
		is($p->{restore_with}, "seawall restore --pgdata DIR --target-xid $top", '... with it');
		is($p->{restore_without}, "seawall restore --pgdata DIR --target-xid $top --target-exclusive", '... and without it');
		is(scalar(@{ $p->{before} }) . ' ' . scalar(@{ $p->{after} }), '1 1', '... and its neighbours');
		is($pg->sql("SELECT '$p->{before}[0]{lsn}'::pg_lsn < '$p->{transaction}{lsn}' AND '$p->{transaction}{lsn}'::pg_lsn < '$p->{after}[0]{lsn}'"), 't', '... in order');
	}
	my ($orders) = @{ find(0, '--dropped', 'sales.orders')->{found} };
	my $place = find(0, '--around', $orders->{time})->{places}[0];
	my @before = @{ $place->{before} };
	is($before[-1]{xid}, $x->{drop}, '--around a commit: it is the last before');
	is(scalar(@before) . ' ' . scalar(@{ $place->{after} }), '10 10', '... with ten on both sides');
	is($pg->sql("SELECT bool_and(a.l::pg_lsn < b.l::pg_lsn) FROM unnest(ARRAY['" . join("','", map { $_->{lsn} } @before, @{ $place->{after} })
		. "']) WITH ORDINALITY a (l, n) JOIN unnest(ARRAY['" . join("','", map { $_->{lsn} } @before, @{ $place->{after} }) . "']) WITH ORDINALITY b (l, n) ON b.n = a.n + 1"),
		't', '... in the order of the WAL');
	my $r = seawall('find', '--around', $orders->{time}, { config => $config });
	like($r->{out}, qr/^  20\S+ \S+  commit  \S+ +$x->{drop}  dropped table shop\.sales\.orders\n  20\S+ \S+  ------$/m, '... marked with what they did') or diag $r->{out};
	$place = find(0, '--around', '2099-01-01 00:00Z')->{places}[0];
	is(scalar(@{ $place->{before} }) . ' ' . scalar(@{ $place->{after} }), '10 0', '--around the future: the last ones');
	return;
}

# Paste the line, and see that this and nothing more is undone.
sub restored_by
{
	my ($name, $line) = @_;
	my $dir = path("restored-$name-" . $pg->version);
	my @word = split / /, $line;
	die $line unless "@word[0, 1]" eq 'seawall restore';
	s/^DIR$/$dir/ for @word;
	my $r = seawall(@word[ 1 .. $#word ], '--target-action', 'promote', '--tablespace-map', path('ts' . $pg->version) . "=$dir-ts", { config => $config });
	is($r->{status}, 0, "$name: $line") or diag(SeawallTest::describe($r)), return;
	my $new = SeawallTest::Cluster->new(version => $pg->version, name => "r$name" . $pg->version, from => $dir);
	$new->own_settings("archive_mode = off\n");
	$new->start;
	$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60);
	return $new;
}

sub check_restores
{
	my ($x) = @_;
	my $line = sub { find(0, @_)->{found}[0]{restore} };
	if (my $new = restored_by('drop', $line->('--dropped', 'sales.orders')))
	{
		is($new->sql('SELECT count(*) FROM sales.orders', 'shop'), '3000', '... the table is back');
		$new->stop;
	}
	if (my $new = restored_by('delete', $line->('--mass-changes', 'many')))
	{
		is($new->sql('SELECT count(*) FROM many', 'shop'), '3000', '... the rows are back');
		is($new->sql("SELECT count(*) FROM items", 'shop'), '0', '... and what was before the mistake is as it was');
		$new->stop;
	}
	return;
}

sub server
{
	my ($version) = @_;
	my $site = new_site("find$version", kind => 'file', version => $version, conf => "autovacuum = off\nmax_prepared_transactions = 5\n");
	($pg, $repo, $config) = @$site{qw(pg repo config)};
	$config = "$config";
	prepare();
	my $r = seawall('backup', '--label', 'one', { config => $config });
	is($r->{status}, 0, 'backup') or diag SeawallTest::describe($r);
	my $x = mistakes();
	$pg->switch_and_wait;
	check_kinds($x);
	check_filters($x);
	check_details($x);
	check_transactions($x);
	check_restores($x);
	check_names();
	check_unlogged();
	check_repositories();
	check_times();
	check_unnamed();
	check_epoch() if -x "$pg->{bin}/pg_resetwal";
	$pg->stop;
	return;
}

# No backup and no WAL has the rows of an unlogged table.
sub check_unlogged
{
	$pg->sql('CREATE UNLOGGED TABLE dusty AS SELECT 1 AS i; ALTER TABLE settled SET LOGGED', 'shop');
	$pg->sql('TRUNCATE dusty; TRUNCATE fleeting; DROP TABLE settled; DROP TABLE dusty; DROP TABLE fleeting', 'shop');
	$pg->switch_and_wait;
	my $unlogged = sub { join ' ', map { "$_->{kind} $_->{relation} " . ($_->{unlogged} ? 1 : 0) } @{ find(0, @_)->{found} } };
	is($unlogged->('--dropped', 'settled', 'dusty', 'fleeting'), 'dropped settled 0 dropped dusty 1 dropped fleeting 1', 'dropped, and unlogged');
	is($unlogged->('--truncated', 'dusty', 'fleeting'), 'truncated dusty 1 truncated fleeting 1', 'truncated, and unlogged');
	for my $name (qw(dusty fleeting settled))
	{
		my $r = seawall('find', '--dropped', $name, { config => $config });
		is(scalar(() = $r->{out} =~ /^    unlogged: its rows are in no backup$/mg), $name eq 'settled' ? 0 : 1, "$name: text says the same")
			or diag SeawallTest::describe($r);
	}
	return;
}

# A repository in which the cluster is not registered (yet) is passed over.
sub check_repositories
{
	my $new = SeawallTest::Repo->of_kind('file', 'unregistered' . $pg->version);
	my $two = write_config(path('two' . $pg->version . '.conf'), seawall => { workers => 2 }, cluster => { pgdata => $pg->pgdata }, repos => [$new, $repo]);
	my $r = seawall('find', '--dropped', 'sales.orders', { config => $two });
	is($r->{status}, 0, 'another repository is asked') or diag SeawallTest::describe($r);
	like($r->{err}, qr/is not registered in .*; trying the next repository/, '... which is said');
	$r = seawall('find', '--dropped', { config => write_config(path('new' . $pg->version . '.conf'), cluster => { pgdata => $pg->pgdata }, repos => [$new]) });
	is($r->{status}, 2, 'where there is no other, that is an error') or diag SeawallTest::describe($r);
	return;
}

# Both verbs read a stretch of time alike.
sub check_times
{
	my ($noon, $one) = ('2026-11-20T12:00Z', '2026-11-20T13:00Z');
	for my $case (["--between=$noon", qr/not two times with a slash/], ["--between=$noon/now", qr/--between "now" is not a date and time/],
		["--since=$noon", "--between=$noon/$one", qr/--between and --since say the same/], ["--until=tomorrow", qr/--until "tomorrow" is not/],
		["--since=$one", "--until=$noon", qr/until is before/], ["--between=$one/$noon", qr/until is before/])
	{
		my ($want, @arg) = (pop @$case, @$case);
		for my $verb (qw(find targets))
		{
			my $r = seawall($verb, @arg, { config => $config });
			ok($r->{status} == 2 && $r->{err} =~ $want, "$verb @arg is refused") or diag SeawallTest::describe($r);
		}
	}
	return;
}

# A relation that was made in WAL that is lost: nobody can know its name.
sub check_unnamed
{
	$pg->sql("INSERT INTO marks VALUES ('unnamed')");
	my $lost = $pg->switch_and_wait;
	my $oid = $pg->sql("CREATE TABLE ghost AS SELECT 1 AS i; SELECT 'ghost'::regclass::oid", 'shop');
	$lost = $pg->switch_and_wait;
	$pg->sql('DROP TABLE ghost', 'shop');
	$pg->switch_and_wait;
	is(told({ found => [ find(0, '--dropped')->{found}[-1] ] }), 'dropped shop.public.ghost', 'its name is in the WAL');
	my ($object) = grep { m{/\Q$lost\E\.zst$} } $repo->names;
	$repo->remove($object);
	is(told({ found => [ find(0, '--dropped')->{found}[-1] ] }), "dropped shop/$oid", 'a relation without a name is told by number');
	my $r = seawall('find', '--dropped', "shop/$oid", { config => $config });
	like($r->{out}, qr{dropped \w+ shop/$oid\n.*\n    its name is not known: .*\n    cannot be restored: .*\nmissing, so not looked at: $lost\n}, '... and why is said')
		or diag SeawallTest::describe($r);
	$r = seawall('find', '--dropped', 'ghost', { config => $config });
	is($r->{status}, 3, 'its name finds nothing');
	like($r->{out}, qr/^1 more may be meant/m, '... but that it may be meant');
	return;
}

# Transaction numbers above 32 bits, and what was rolled back.
sub check_epoch
{
	$pg->stop;
	SeawallTest::run_ok("$pg->{bin}/pg_resetwal", '--epoch=1', '-D', $pg->pgdata);
	$pg->start;
	$pg->sql('CREATE TABLE far_ahead (i int)', 'shop');
	my $xid = transaction('DROP TABLE far_ahead', 'shop');
	my $aborted = $pg->sql('BEGIN; SELECT pg_current_xact_id(); ROLLBACK', 'shop');
	$pg->sql("INSERT INTO marks VALUES ('end')");
	$pg->switch_and_wait;
	cmp_ok($xid, '>', 2**32, 'an epoch later');
	my ($f) = @{ find(0, '--dropped', 'far_ahead')->{found} };
	is($f->{xid}, $xid, '... a transaction has 64 bits') or diag explain $f;
	for my $asked ($xid, $xid % 2**32)
	{
		my $places = find(0, '--xid', $asked)->{places};
		is(join(' ', map { $_->{transaction}{xid} } @$places), $xid, "--xid $asked finds it");
	}
	is(scalar(@{ find(3, '--xid', $xid + 2**32)->{places} }), 0, '... and with another epoch nothing');
	my $p = find(0, '--xid', $aborted)->{places}[0];
	is("$p->{transaction}{end} $p->{transaction}{xid}", "abort $aborted", 'what was rolled back is told as that');
	return;
}

# Names go to a terminal, which obeys controls, also the ones beyond ASCII.
sub check_names
{
	$pg->sql("SELECT pg_create_restore_point(E'bell\\007 csi\\u009b31m \\u00fc')");
	$pg->switch_and_wait;
	for my $verb ('find', 'targets')
	{
		my $r = seawall($verb, $verb eq 'find' ? '--restore-point' : (), { config => $config });
		like($r->{out}, qr/bell\? csi\?\??31m \xc3\xbc/, "$verb prints no controls") or diag SeawallTest::describe($r);
	}
	my $r = seawall('find', '--dropped', 'oldname', { config => $config });
	like($r->{out}, qr/^what happened has the name that it had then/m, 'a name that is not found may be an old one');
	return;
}

# --- several timelines ------------------------------------------------------------------

# A server on a restored directory, which archives as its own.
sub adopt
{
	my ($name, $dir, $more) = @_;
	my $new = SeawallTest::Cluster->new(version => $pg->version, name => $name, from => $dir);
	my $own = write_config(path("$name.conf"), seawall => { workers => 2 },
		cluster => { pgdata => $dir, 'pg-host' => $new->sockets, 'pg-port' => 5432, 'pg-user' => 'postgres' }, repos => [$repo]);
	$new->own_settings($more // '');
	$new->archive_to($own);
	return ($new, $own);
}

# Up to so many bytes before the next segment.
sub fill_segment
{
	my ($left) = @_;
	$pg->sql("SELECT pg_logical_emit_message(false, 'fill', repeat('x', (1048576 - (pg_current_wal_insert_lsn() - '0/0'::pg_lsn) % 1048576 - $left)::int))");
	return;
}

sub way_of
{
	my (@arg) = @_;
	my $f = find(0, @arg)->{found}[-1];
	return "timeline $f->{timeline}: " . ($f->{restore} // 'no way');
}

# The primary dies with its last segment; what it did there stands in its successor's only.
sub failover
{
	my ($version) = @_;
	my $site = new_site("over$version", kind => 'file', version => $version, segment_mb => 1,
		conf => "autovacuum = off\nmax_prepared_transactions = 5\nwal_keep_size = '100MB'\n");
	($pg, $repo, $config) = @$site{qw(pg repo config)};
	$pg->sql('CREATE TABLE before_backup (i int)');
	$pg->sql('DROP TABLE before_backup');
	$pg->sql("CREATE TABLE $_ AS SELECT 1 AS i") for qw(early inlast prepared child sibling open_at_fork);
	$pg->sql("DO \$\$ BEGIN FOR n IN 1 .. 300 LOOP EXECUTE format('CREATE TABLE crossing%s (i int)', n); END LOOP; END \$\$");
	my $r = seawall('backup', '--label', 'one', { config => $config });
	is($r->{status}, 0, 'backup') or diag SeawallTest::describe($r);
	my $dir = path("standby$version");
	$r = seawall('restore', '--standby', '--pgdata', $dir, { config => $config });
	is($r->{status}, 0, 'restore --standby') or diag SeawallTest::describe($r);
	my ($standby, $own) = adopt("s$version", $dir, "hot_standby = on\n");
	SeawallTest::append("$dir/postgresql.auto.conf", "primary_conninfo = '" . $pg->conninfo . "'\n");
	$standby->start;

	my $early = transaction('DROP TABLE early');
	$pg->sql("BEGIN; DROP TABLE prepared; PREPARE TRANSACTION 'p'");
	my $child = SeawallTest::spawn($pg->psql_command, { stdin => "BEGIN; DROP TABLE open_at_fork; SELECT pg_sleep(600); COMMIT" });
	$pg->wait_for_sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", '1', 20);
	$pg->switch_and_wait;
	# its records fill the rest, and its COMMIT stands across the border
	$pg->sql("BEGIN; DO \$\$ BEGIN FOR n IN 1 .. 300 LOOP EXECUTE format('DROP TABLE crossing%s', n); END LOOP; END \$\$;"
		. " SELECT pg_logical_emit_message(false, 'fill', repeat('x', (1048576 - (pg_current_wal_insert_lsn() - '0/0'::pg_lsn) % 1048576 - 8000)::int)); COMMIT");
	my $xid = transaction('DROP TABLE inlast');
	my $last = $pg->sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
	my $before = $pg->sql("SELECT pg_walfile_name(pg_current_wal_lsn() - 1048576)");
	$pg->wait_archived($before);
	$standby->wait_for_sql("SELECT pg_last_wal_replay_lsn() >= '" . $pg->sql('SELECT pg_current_wal_lsn()') . "'", 't', 60);
	$pg->kill9;
	SeawallTest::reap($child, 20);
	is(scalar(grep { m{/\Q$last\E\.zst} } $repo->names), 0, 'the last segment was not archived');
	$standby->promote;
	my $dead = $pg;
	$pg = $standby;
	$pg->sql("COMMIT PREPARED 'p'");
	my $on_child = transaction('DROP TABLE child');
	$pg->switch_and_wait;

	is(told(find(0, '--dropped', 'early', 'inlast', 'prepared', 'child', 'open_at_fork', 'crossing1', 'before_backup')),
		join("\n", map { "dropped postgres.public.$_" } qw(before_backup early crossing1 inlast prepared child)), 'two timelines: each drop once');
	is(scalar(@{ find(0, '--dropped', 'crossing*')->{found} }), 300, '... also of a COMMIT that stands across the border');
	is(way_of('--dropped', 'before_backup'), 'timeline 1: no way', 'what was before the backup cannot be undone');
	is(way_of('--dropped', 'early'), "timeline 1: seawall restore --pgdata DIR --target-xid $early --target-exclusive", 'the parent is on the way of the latest');
	is(way_of('--dropped', 'inlast'), "timeline 1: seawall restore --pgdata DIR --target-xid $xid --target-exclusive", '... to its end');
	is(way_of('--dropped', 'child'), "timeline 2: seawall restore --pgdata DIR --target-xid $on_child --target-exclusive", '... and so is the child');
	my ($rotten) = grep { m{/\Q$before\E\.zst$} } $repo->names;
	$rotten =~ s/\Q$before\E/$last/;
	SeawallTest::spew("$repo->{file}/$rotten", 'rotten');
	is(way_of('--dropped', 'inlast'), "timeline 1: seawall restore --pgdata DIR --target-xid $xid --target-exclusive", '... also if the parent has a damaged copy');
	$repo->remove($rotten);
	my $p = find(0, '--xid', $xid)->{places};
	is(join(' ', map { $_->{transaction}{timeline} } @$p), '1', 'a transaction of the parent that stands in the child\'s copy');
	$p = find(0, '--around', find(0, '--dropped', 'inlast')->{found}[0]{time})->{places};
	is(join(' ', map { "$_->{way_to_timeline} $_->{before}[-1]{xid}" } @$p), "2 $xid", '--around on the way of both');
	like(join(' ', map { $_->{timeline} } @{ $p->[0]{before} }, @{ $p->[0]{after} }), qr/^(?:1 )+2( 2)*$/, '... over the border');
	sibling($early, $on_child, $own);
	damage($early, $on_child);
	$pg->stop;
	return;
}

# Somebody restored to before the mistake, and archives there too.
sub sibling
{
	my ($early, $on_child, $own) = @_;
	my $version = $pg->version;
	my $dir = path("sibling$version");
	my ($line) = find(0, '--dropped', 'early')->{found}[0]{restore};
	$line =~ s/DIR/$dir/;
	my (undef, undef, @word) = split / /, $line;
	my $r = seawall('restore', @word, '--target-action', 'promote', { config => $config });
	is($r->{status}, 0, 'restored to before the first drop') or diag SeawallTest::describe($r);
	my ($new, $config3) = adopt("sib$version", $dir);
	$new->start;
	$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60);
	is($new->sql('SELECT count(*) FROM early'), '1', '... where it is there');
	local $pg = $new;
	my $on_sibling = transaction('DROP TABLE sibling');
	$pg->switch_and_wait;
	is(way_of('--dropped', 'early'), "timeline 1: seawall restore --pgdata DIR --target-xid $early --target-exclusive --target-timeline 1",
		'branches: what lies on another one names it');
	is(way_of('--dropped', 'child'), "timeline 2: seawall restore --pgdata DIR --target-xid $on_child --target-exclusive --target-timeline 2", '... and the child');
	is(way_of('--dropped', 'sibling'), "timeline 3: seawall restore --pgdata DIR --target-xid $on_sibling --target-exclusive --target-timeline 3", '... and the sibling');
	is(told(find(0, '--dropped', 'early', 'child', 'sibling', '--target-timeline', 2)), "dropped postgres.public.early\ndropped postgres.public.child",
		'--target-timeline: that one and what it came from');
	is(told(find(0, '--dropped', 'early', 'child', 'sibling', '--target-timeline', 3)), 'dropped postgres.public.sibling', '... and no more');
	my $p = find(0, '--around', find(0, '--dropped', 'child')->{found}[0]{time})->{places};
	is(join(' ', map { $_->{way_to_timeline} } @$p), '3 2', '--around on both branches');
	$p = find(0, '--target-timeline', 2, '--around', find(0, '--dropped', 'child')->{found}[0]{time})->{places};
	is(join(' ', map { $_->{way_to_timeline} } @$p), '2', '... or on one');
	is(scalar(@{ find(3, '--target-timeline', 3, '--xid', $early)->{places} }), 0, '--xid on a branch that has left before it');
	$new->stop;
	return;
}

# Holes and damage cost what is in them, and are said.
sub damage
{
	my ($early, $on_child) = @_;
	my ($child) = @{ find(0, '--dropped', 'child')->{found} };
	my @segments = grep { m{/wal/00000001/0000000100000000\w{8}\.zst$} } $repo->names;
	my $kept = $repo->get($segments[-2]);
	$repo->remove($segments[-2]);
	is(way_of('--dropped', 'child'), 'timeline 2: no way', 'behind a hole there is no way');
	my ($name) = $segments[-2] =~ m{(\w{24})\.zst};
	my $r = seawall('find', '--dropped', 'child', { config => $config });
	like($r->{out}, qr/cannot be restored: .*\nmissing, so not looked at: $name\n\z/, '... which is said, and what is missing') or diag SeawallTest::describe($r);
	$repo->replace($segments[-2], $kept);
	$repo->flip($segments[-2], -100);
	$r = seawall('find', '--dropped', 'child', { config => $config });
	is($r->{status}, 0, 'damage fails nothing') or diag SeawallTest::describe($r);
	like($r->{out}, qr/cannot be restored: .*\nnot wholly looked at: $name: /, '... and is said') if $r->{out} !~ /target-xid/;
	$repo->replace($segments[-2], $kept);
	return;
}

for my $version (versions())
{
	subtest "PostgreSQL $version" => sub { server($version) };
	subtest "PostgreSQL $version, a failover and a sibling" => sub { failover($version) };
}
done_testing();
