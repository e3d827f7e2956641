# seawall find calls a relation as it was called when the transaction began, whatever its name was at the last backup.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;

our ($pg, $repo, $config);

# What find --dropped says: "shop.public.orders", with " (was X)" and " ?" where the name is not sure.
sub dropped
{
	my (@pattern) = @_;
	$pg->sql("SELECT pg_logical_emit_message(true, 'test', 'so that there is something to archive')");
	$pg->switch_and_wait;
	my $r = seawall('find', '--json', '--dropped', @pattern, { config => $config });
	diag SeawallTest::describe($r) if $r->{status} != 0 && $r->{status} != 3;
	return map { name_of($_) } @{ decode_json($r->{out})->{found} };
}

sub name_of
{
	my ($f) = @_;
	return $f->{database} if $f->{kind} eq 'database dropped';
	return join('.', $f->{database}, $f->{schema} // '?', $f->{relation} // '?') . (defined $f->{former_name} ? " (was $f->{former_name})" : '')
		. ($f->{name_unsure} ? ' ?' : '');
}

sub backup
{
	my ($label) = @_;
	my $r = seawall('backup', '--label', $label, { config => $config });
	is($r->{status}, 0, "backup $label") or diag SeawallTest::describe($r);
	return;
}

# Tables that the case needs (X is its number), what happens after the backup, what is told as dropped.
my @cases = (
	[ 'renamed, then dropped', 'aX', 'ALTER TABLE aX RENAME TO bX; DROP TABLE bX', 'public.bX (was aX)' ],
	[ 'swapped by renames', 'ordersX ordersX_new', 'ALTER TABLE ordersX RENAME TO ordersX_old; ALTER TABLE ordersX_new RENAME TO ordersX; DROP TABLE ordersX',
		'public.ordersX (was ordersX_new)' ],
	[ '... and the old one goes', 'ordersX ordersX_new', 'ALTER TABLE ordersX RENAME TO ordersX_old; ALTER TABLE ordersX_new RENAME TO ordersX; DROP TABLE ordersX_old',
		'public.ordersX_old (was ordersX)' ],
	[ 'swapped in one transaction', 'ordersX ordersX_new', 'BEGIN; ALTER TABLE ordersX RENAME TO ordersX_old; ALTER TABLE ordersX_new RENAME TO ordersX; COMMIT; DROP TABLE ordersX',
		'public.ordersX (was ordersX_new)' ],
	[ 'swapped and dropped in one transaction: the name before it', 'ordersX ordersX_new',
		'BEGIN; ALTER TABLE ordersX RENAME TO ordersX_old; ALTER TABLE ordersX_new RENAME TO ordersX; DROP TABLE ordersX_old; COMMIT', 'public.ordersX' ],
	[ '... and then the new one', 'ordersX ordersX_new',
		'BEGIN; ALTER TABLE ordersX RENAME TO ordersX_old; ALTER TABLE ordersX_new RENAME TO ordersX; DROP TABLE ordersX_old; COMMIT; DROP TABLE ordersX',
		'public.ordersX', 'public.ordersX (was ordersX_new)' ],
	[ 'a rename that is rolled back', 'aX', 'BEGIN; ALTER TABLE aX RENAME TO bX; ROLLBACK; DROP TABLE aX', 'public.aX' ],
	[ '... in a subtransaction', 'aX cX', 'BEGIN; ALTER TABLE cX RENAME TO dX; SAVEPOINT s; ALTER TABLE aX RENAME TO bX; ROLLBACK TO s; COMMIT; DROP TABLE aX; DROP TABLE dX',
		'public.aX', 'public.dX (was cX)' ],
	[ '... and done again in another one', 'aX',
		'BEGIN; SAVEPOINT s; ALTER TABLE aX RENAME TO bX; ROLLBACK TO s; SAVEPOINT t; ALTER TABLE aX RENAME TO cX; RELEASE t; ALTER TABLE cX RENAME TO dX; COMMIT; DROP TABLE dX',
		'public.dX (was aX)' ],
	[ 'twice in one transaction', 'aX', 'BEGIN; ALTER TABLE aX RENAME TO a_much_longer_nameX; ALTER TABLE a_much_longer_nameX RENAME TO bX; COMMIT; DROP TABLE bX',
		'public.bX (was aX)' ],
	[ 'renamed by a prepared transaction', 'aX', "BEGIN; ALTER TABLE aX RENAME TO bX; PREPARE TRANSACTION 'pX'; COMMIT PREPARED 'pX'; DROP TABLE bX", 'public.bX (was aX)' ],
	[ 'back to its name', 'aX', 'ALTER TABLE aX RENAME TO bX; ALTER TABLE bX RENAME TO aX; DROP TABLE aX', 'public.aX' ],
	[ 'made after the backup, and renamed', '', 'CREATE TABLE aX (i int, t text); ALTER TABLE aX RENAME TO bX; DROP TABLE bX', 'public.bX' ],
	[ '... in the transaction that made it', '', 'BEGIN; CREATE TABLE aX (i int, t text); ALTER TABLE aX RENAME TO bX; COMMIT; DROP TABLE bX', 'public.bX' ],
	[ '... in a subtransaction of that', '', 'BEGIN; CREATE TABLE aX (i int, t text); SAVEPOINT s; ALTER TABLE aX RENAME TO bX; COMMIT; DROP TABLE bX', 'public.bX' ],
	[ 'another one has its name now', 'aX', 'ALTER TABLE aX RENAME TO bX; CREATE TABLE aX (i int); DROP TABLE aX; DROP TABLE bX', 'public.aX', 'public.bX (was aX)' ],
	[ 'changed in other ways', 'aX', 'ALTER TABLE aX ADD COLUMN n text; ALTER TABLE aX RENAME TO bX; GRANT SELECT ON bX TO PUBLIC; TRUNCATE bX; VACUUM FULL bX; DROP TABLE bX',
		'public.bX (was aX)' ],
	[ 'truncated in between', 'aX', 'ALTER TABLE aX RENAME TO bX; TRUNCATE bX; ALTER TABLE bX RENAME TO cX; DROP TABLE cX', 'public.cX (was aX)' ],
	[ 'SET SCHEMA', 'aX', 'ALTER TABLE aX SET SCHEMA fixed; DROP TABLE fixed.aX', 'fixed.aX' ],
	[ 'a schema made after the backup', '', 'CREATE SCHEMA sX; CREATE TABLE sX.aX (i int); DROP TABLE sX.aX', 'sX.aX' ],
	[ '... and renamed', 'aX', 'CREATE SCHEMA sX; ALTER TABLE aX SET SCHEMA sX; ALTER SCHEMA sX RENAME TO tX; DROP TABLE tX.aX', 'tX.aX' ],
	[ 'a schema of the backup, renamed', '', 'ALTER SCHEMA oldX RENAME TO newX; CREATE TABLE newX.a (i int); DROP TABLE newX.a', 'newX.a' ],
	[ 'a view alone', 'aX', 'CREATE VIEW vX AS SELECT 1 AS i; DROP VIEW vX', 'public.vX' ],
	[ '... of the backup, renamed', '', 'ALTER VIEW oldviewX RENAME TO newviewX; DROP VIEW newviewX', 'public.newviewX (was oldviewX)' ],
	[ 'a partitioned table without partitions', '', 'CREATE TABLE pX (i int) PARTITION BY LIST (i); DROP TABLE pX', 'public.pX' ],
	[ 'names that share their ends', 'a_middle_endX', 'ALTER TABLE a_middle_endX RENAME TO a_muddle_endX; DROP TABLE a_muddle_endX', 'public.a_muddle_endX (was a_middle_endX)' ],
	[ 'names beyond ASCII', "caf\xc3\xa9X", "ALTER TABLE \"caf\xc3\xa9X\" RENAME TO \"caf\xc3\xa8X\"; DROP TABLE \"caf\xc3\xa8X\"", "public.caf\xe8X (was caf\xe9X)" ],
	[ 'the longest names', 'x' x 61 . 'X', 'ALTER TABLE ' . 'x' x 61 . 'X RENAME TO ' . 'x' x 60 . 'yX; DROP TABLE ' . 'x' x 60 . 'yX',
		'public.' . 'x' x 60 . 'yX (was ' . 'x' x 61 . 'X)' ],
);

# Temporary relations come and go where rows of pg_class were; VACUUM gives their places to others.
sub churn
{
	$pg->sql("CREATE TEMP TABLE t1 (a text); ALTER TABLE t1 RENAME TO t2; TRUNCATE t2; CREATE TEMP TABLE t3 (b text); DROP TABLE t2; ALTER TABLE t3 ADD COLUMN c int", 'shop');
	$pg->sql('VACUUM pg_class', 'shop');
	return;
}

sub server
{
	my ($version, $compress) = @_;
	my $site = new_site("renamed$version$compress", kind => 'file', version => $version, conf => "autovacuum = off\nmax_prepared_transactions = 5\nwal_compression = $compress\n");
	($pg, $repo, $config) = @$site{qw(pg repo config)};
	$config = "$config";
	$pg->sql('CREATE DATABASE shop');
	$pg->sql('CREATE SCHEMA fixed', 'shop');
	my @todo = map { [ @$_ ] } @cases;
	for my $n (0 .. $#todo)
	{
		s/X/10 + $n/ge for @{ $todo[$n] }[ 1 .. $#{ $todo[$n] } ];
		$pg->sql("CREATE TABLE \"$_\" AS SELECT 1 AS i, 'x' AS t", 'shop') for split / /, $todo[$n][1];
		$pg->sql("CREATE SCHEMA old$1", 'shop') if $todo[$n][2] =~ /SCHEMA old(\d+)/;
		$pg->sql("CREATE VIEW oldview$1 AS SELECT 1 AS i", 'shop') if $todo[$n][2] =~ /VIEW oldview(\d+)/;
	}
	$pg->sql('VACUUM pg_class', 'shop');
	backup('one');
	churn();
	for my $case (@todo)
	{
		$pg->sql($case->[2], 'shop');
		churn();
	}
	my @told = dropped();
	for my $case (@todo)
	{
		my @want = map { "shop.$_" } @$case[ 3 .. $#$case ];
		is(join(', ', splice @told, 0, scalar @want), join(', ', @want), $case->[0]);
	}
	is(join(', ', @told), '', 'and nothing else');
	later($compress);
	compressed();
	rewritten();
	databases();
	$pg->stop;
	return;
}

# Renames on both sides of a backup, and in segments of their own.
sub later
{
	my ($compress) = @_;
	$pg->sql("CREATE TABLE $_ AS SELECT 1 AS i", 'shop') for qw(early open1 wide1);
	$pg->sql('ALTER TABLE early RENAME TO middle', 'shop');
	my $open = SeawallTest::spawn($pg->psql_command('shop'), { stdin => 'BEGIN; ALTER TABLE open1 RENAME TO open2; SELECT pg_sleep(600)' });
	$pg->wait_for_sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", '1', 20);
	$pg->switch_and_wait;
	backup('two');
	my @before = dropped();
	$pg->sql('DROP TABLE middle', 'shop');
	# what was open at the backup is rolled back; the other one is done in several segments
	$pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	SeawallTest::reap($open, 20);
	$pg->sql("BEGIN; ALTER TABLE wide1 RENAME TO wide2; SELECT pg_switch_wal(); ALTER TABLE wide2 RENAME TO wide3; SELECT pg_switch_wal(); SAVEPOINT s;"
		. ' ALTER TABLE wide3 RENAME TO wide4; SELECT pg_switch_wal(); COMMIT; DROP TABLE wide4; DROP TABLE open1', 'shop');
	my @told = dropped();
	is(join(', ', @told[ scalar(@before) .. $#told ]), 'shop.public.middle, shop.public.wide4 (was wide1), shop.public.open1', 'a backup in between; several segments; rolled back');
	is(join(', ', dropped('middle')), 'shop.public.middle', 'a pattern matches the name of then');
	is(join(', ', dropped('early')), '', '... and not another one');
	return;
}

# A page image that is compressed is not read: that the name is not sure is said, until a record tells it.
sub compressed
{
	$pg->sql("CREATE TABLE $_ AS SELECT 1 AS i", 'shop') for qw(zip1);
	my @before = dropped();
	$pg->sql('VACUUM pg_class', 'shop');
	$pg->sql('CHECKPOINT; SET wal_compression = on; ALTER TABLE zip1 RENAME TO zip2; DROP TABLE zip2', 'shop');
	my @told = dropped();
	like(join(', ', @told[ scalar(@before) .. $#told ]), qr/^shop\.public\.(?:zip1 \?|zip2)$/, 'a rename in a compressed page image: never the old name for sure');
	return;
}

# VACUUM FULL of pg_class gives every row another place.
sub rewritten
{
	$pg->sql("CREATE TABLE $_ AS SELECT 1 AS i", 'shop') for qw(lone1 lefty righty wrong);
	backup('three');
	my @before = dropped();
	$pg->sql('VACUUM FULL pg_class', 'shop');
	$pg->sql('ALTER TABLE lone1 RENAME TO lone2', 'shop');
	$pg->sql('DROP TABLE lone2', 'shop');
	$pg->sql('BEGIN; ALTER TABLE lefty RENAME TO middle; ALTER TABLE righty RENAME TO lefty; ALTER TABLE middle RENAME TO righty; COMMIT', 'shop');
	$pg->sql('DROP TABLE lefty; DROP TABLE wrong', 'shop');
	my @told = dropped();
	@told = @told[ scalar(@before) .. $#told ];
	is("$told[0] $told[2]", 'shop.public.lone2 (was lone1) shop.public.wrong', 'VACUUM FULL pg_class: one relation in a transaction is known by its invalidation');
	like($told[1], qr/^shop\.public\.(?:righty|lefty \(was righty\)) \?$|^shop\.public\.lefty \(was righty\)$/, '... several: right, or said to be not sure');
	my $r = seawall('find', '--dropped', 'nosuch', { config => $config });
	like($r->{out}, qr/^1 more may be meant: their names are not known, or not sure;/m, '... so that a pattern does not hide it') if $told[1] =~ /\?/;
	$r = seawall('find', '--dropped', { config => $config });
	like($r->{out}, qr/its name is not sure: /, '... in words') if $told[1] =~ /\?/;
	like($r->{out}, qr/dropped table shop\.public\.lone2\n.*; at the last backup its name was lone1$/m, 'the name at the backup is said, too');
	return;
}

sub databases
{
	$pg->sql('CREATE DATABASE first');
	$pg->sql('CREATE DATABASE second');
	backup('four');
	my @before = dropped();
	$pg->sql('ALTER DATABASE first RENAME TO third');
	$pg->sql('CREATE DATABASE fourth');
	$pg->sql('ALTER DATABASE fourth RENAME TO fifth');
	$pg->sql('ALTER DATABASE second RENAME TO first');
	$pg->sql("DROP DATABASE $_") for qw(third fifth first);
	my @told = dropped();
	is(join(', ', @told[ scalar(@before) .. $#told ]), 'third, fifth, first', 'databases that were renamed');
	return;
}

for my $version (versions())
{
	subtest "PostgreSQL $version" => sub { server($version, 'off') };
}
done_testing();
