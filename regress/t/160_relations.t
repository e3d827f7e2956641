# Names: a backup keeps which databases and relations there were, whatever single databases say to that.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;
use Time::HiRes qw(time);

# The lines of a backup's relations.zst.
sub lines_of
{
	my ($repo, $label) = @_;
	my ($name) = grep { m{/backup/\Q$label\E/relations\.zst$} } $repo->names;
	return unless ok(defined $name, "$label: the object is there");
	my $file = path("relations-$label.zst");
	SeawallTest::spew($file, $repo->get($name));
	return map { decode_json($_) } split /\n/, SeawallTest::run_ok('/usr/bin/zstd', '-dcq', $file);
}

# A session that does something and stays.
sub session
{
	my ($pg, $db, $sql) = @_;
	my $child = SeawallTest::spawn($pg->psql_command($db), { stdin => "$sql; SELECT pg_sleep(300)" });
	$pg->wait_for_sql("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%pg_sleep(300)%'"
		. " AND datname = '$db' AND wait_event = 'PgSleep'", '1', 20);
	return $child;
}

sub end_session
{
	my ($pg, $child) = @_;
	$pg->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	SeawallTest::reap($child, 20);
	return;
}

# What the server says, as lines say it.
sub truth
{
	my ($pg, $db, $where) = @_;
	return [ sort map { utf8::decode($_); $_ } split /\n/, $pg->sql("SELECT c.oid || ' ' || n.nspname || '.' || c.relname || ' ' || c.relkind::text || ' '"
		. " || coalesce(pg_relation_filenode(c.oid), 0) || ' ' || CASE WHEN c.reltablespace <> 0 THEN c.reltablespace"
		. " WHEN pg_relation_filenode(c.oid) IS NULL THEN 0 ELSE (SELECT dattablespace FROM pg_database WHERE datname = current_database()) END"
		. " || ' ' || CASE WHEN pg_relation_filenode(c.oid) IS NULL THEN 0 ELSE pg_relation_size(c.oid) END"
		. " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' AND $where", $db) ];
}

sub told
{
	my ($db, $shared, @lines) = @_;
	my ($database) = grep { $_->{type} eq 'database' && $_->{name} eq $db } @lines[1 .. $#lines];
	my %schema = map { $_->{oid} => $_->{name} } grep { $_->{type} eq 'schema' && $_->{database} == $database->{oid} } @lines[1 .. $#lines];
	# Shared relations stand in the first database, whose pg_catalog and pg_toast have the OIDs that all have.
	%schema = (11 => 'pg_catalog', 99 => 'pg_toast') if $shared;
	return [ sort map { join ' ', $_->{oid}, "$schema{$_->{schema}}.$_->{name}", $_->{kind}, $_->{filenode}, $_->{tablespace}, $_->{bytes} }
		grep { $_->{type} eq 'relation' && $_->{database} == ($shared ? 0 : $database->{oid}) } @lines[1 .. $#lines] ];
}

sub relations
{
	my ($version) = @_;
	my $site = new_site("names$version", kind => 'file', version => $version, conf => 'autovacuum = off');
	my ($pg, $repo, $config) = @$site{qw(pg repo config)};
	my $far = SeawallTest::make_dir(path("far$version"));
	$pg->sql("CREATE TABLESPACE far LOCATION '$far'");
	$pg->sql("CREATE DATABASE $_") for qw(shop closed broken private);
	$pg->sql('CREATE DATABASE away TABLESPACE far');
	$pg->sql(q{CREATE SCHEMA sales; CREATE TABLE sales.orders (id serial PRIMARY KEY, what text);
		INSERT INTO sales.orders (what) SELECT repeat('x', 100) FROM generate_series(1, 5000);
		CREATE TABLE never_analyzed AS SELECT generate_series(1, 77) AS i;
		CREATE TABLE elsewhere (i int) TABLESPACE far; CREATE VIEW v AS SELECT 1; CREATE MATERIALIZED VIEW m AS SELECT 1 AS i;
		CREATE TABLE parts (i int) PARTITION BY RANGE (i); CREATE TABLE parts1 PARTITION OF parts DEFAULT;
		CREATE UNLOGGED TABLE light (i int); CREATE TABLE "odd "" name é" (i int);
		ANALYZE sales.orders; VACUUM FULL pg_class}, 'shop');
	$pg->sql('CREATE TABLE here (i int)', 'away');
	$pg->sql('ALTER DATABASE closed ALLOW_CONNECTIONS false');
	$pg->sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'");
	$pg->sql('REVOKE CONNECT ON DATABASE private FROM public');
	$pg->sql('CREATE ROLE keeper LOGIN IN ROLE pg_read_all_settings; GRANT EXECUTE ON FUNCTION '
		. ($version >= 15 ? 'pg_backup_start(text, boolean), pg_backup_stop(boolean)'
			: 'pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)') . ' TO keeper');
	$pg->sql('CHECKPOINT');
	# Whoever has a table locked must not stop a backup.
	my $lock = session($pg, 'shop', 'CREATE TEMP TABLE mine (i int); BEGIN; LOCK TABLE never_analyzed IN ACCESS EXCLUSIVE MODE');
	my $r = seawall('backup', '--label', 'one', '--pg-user=keeper', { config => $config });
	is($r->{status}, 0, 'a backup, while a table is locked') or diag SeawallTest::describe($r);
	like($r->{err}, qr/warning: .*database "private" by name: .*permission denied/, 'a database that refuses is told');
	unlike($r->{err}, qr/"(?:closed|broken|template0)"/, '... one that takes no connections is not worth a word');
	end_session($pg, $lock);

	my @lines = lines_of($repo, 'one') or return;
	is("$lines[0]{seawall} $lines[0]{version} $lines[0]{timeline}", 'relations 1 1', 'the first line says what it is');
	my ($backup) = @{ decode_json(seawall('list', '--json', { config => $config })->{out})->[0]{systems}[0]{backups} };
	is($pg->sql("SELECT '$lines[0]{lsn}'::pg_lsn BETWEEN '$backup->{start_lsn}' AND '$backup->{stop_lsn}'"), 't', '... its LSN is within the backup');
	my %database = map { $_->{name} => $_ } grep { $_->{type} eq 'database' } @lines[1 .. $#lines];
	is(join(' ', sort keys %database), 'away broken closed postgres private shop template0 template1', 'all databases are told');
	like($database{closed}{reason}, qr/allows no connections/, '... why not what is in one that is closed');
	like($database{broken}{reason}, qr/invalid/, '... that is invalid');
	like($database{private}{reason}, qr/permission denied/, '... that refuses');
	is(join(' ', map { $_->{name} } grep { $_->{type} eq 'tablespace' } @lines[1 .. $#lines]), 'pg_default pg_global far', 'and tablespaces');
	for my $db (qw(shop away postgres))
	{
		is_deeply(told($db, 0, @lines), truth($pg, $db, 'NOT c.relisshared'), "$db: relations, schemas, files, places and sizes");
	}
	is_deeply(told('shop', 1, @lines), truth($pg, 'shop', 'c.relisshared'), 'shared relations stand there once');
	my @placed = grep { $_->{type} =~ /^(?:relation|schema)$/ && $_->{database} == $database{shop}{oid} } @lines[1 .. $#lines];
	is(join("\n", sort map { "$_->{type} $_->{oid} ($_->{place}[0],$_->{place}[1])" } @placed),
		join("\n", sort split /\n/, $pg->sql("SELECT 'relation ' || oid || ' ' || ctid FROM pg_class WHERE NOT relisshared AND relpersistence <> 't'"
			. " UNION ALL SELECT 'schema ' || oid || ' ' || ctid FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_[0-9]+\$'", 'shop')),
		'where their rows are');
	is("$database{shop}{file} ($database{shop}{place}[0],$database{shop}{place}[1]) $database{shop}{encoding} $database{shop}{class_file}",
		$pg->sql("SELECT pg_relation_filenode('pg_database') || ' ' || ctid || ' UTF8 ' || pg_relation_filenode('pg_class') FROM pg_database WHERE datname = 'shop'", 'shop'),
		'... and the database\'s own');
	my %relation = map { $_->{name} => $_ } grep { $_->{type} eq 'relation' && $_->{database} == $database{shop}{oid} } @lines[1 .. $#lines];
	is($relation{orders}{rows}, 5000, 'an estimate of the rows');
	# 14's statistics arrive when they arrive
	is($relation{never_analyzed}{rows}, 77, '... also of a table that was never analyzed') if $version >= 15;
	is($relation{orders_pkey}{owner}, $relation{orders}{oid}, 'an index names its table');
	is($relation{"pg_toast_$relation{orders}{oid}"}{owner}, $relation{orders}{oid}, 'a TOAST table too');
	ok(exists $relation{"odd \" name \x{e9}"}, 'names are as they are');
	ok(!exists $relation{mine}, 'temporary tables are nobody\'s business');

	failures($pg, $repo, $config) if $version == (versions())[0];
	from_standby($pg, $repo, $config, $version, $far);
	$pg->stop;
}

# What fails leaves nothing behind.
sub failures
{
	my ($pg, $repo, $config) = @_;
	my $odd = $pg->pgdata . "/m\xfcller.txt";
	SeawallTest::spew($odd, 'x');
	my $r = seawall('backup', '--label', 'odd', { config => $config });
	is($r->{status}, 1, 'a backup that fails later');
	is(scalar(grep { m{/odd/} } $repo->names), 0, '... leaves no names');
	unlink $odd;

	my ($place) = grep { m{/backup/one/relations} } $repo->names;
	(my $dir = "$repo->{file}/$place") =~ s{/one/.*}{};
	chmod 0500, $dir;
	$r = seawall('backup', '--label', 'denied', { config => $config });
	chmod 0700, $dir;
	is($r->{status}, 1, 'names that cannot be stored fail the backup');
	is_one_line($r->{err}, '... in one line');
	like($r->{err}, qr/names of relations/, '... which says what');
	is($pg->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seawall'"), '0', '... and its session is closed');

	my $lock = session($pg, 'shop', 'BEGIN; LOCK TABLE pg_catalog.pg_namespace IN ACCESS EXCLUSIVE MODE');
	my $child = SeawallTest::spawn(program('seawall'), 'backup', '--label', 'waits', { env => { SEAWALL_CONFIG => $config } });
	$pg->wait_for_sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'shop' AND wait_event_type = 'Lock'", 't', 20);
	my $start = time;
	kill 'TERM', $child->{pid};
	$r = SeawallTest::reap($child, 30);
	cmp_ok(time - $start, '<', 5, 'SIGTERM while a database does not answer ends it soon');
	is_one_line($r->{err}, '... in one line');
	is(scalar(grep { m{/waits/} } $repo->names), 0, '... without a trace');
	end_session($pg, $lock);
	return;
}

sub from_standby
{
	my ($pg, $repo, $config, $version, $far) = @_;
	my $dir = path("standby$version");
	my $r = seawall('restore', '--standby', '--pgdata', $dir, '--tablespace-map', "$far=$dir-far", { config => $config });
	is($r->{status}, 0, 'restore --standby') or diag(SeawallTest::describe($r)), return;
	my $standby = SeawallTest::Cluster->new(version => $version, name => "s$version", from => $dir);
	$standby->own_settings("archive_command = 'false'\nhot_standby = on\n");
	SeawallTest::append("$dir/postgresql.auto.conf", "primary_conninfo = '" . $pg->conninfo . "'\n");
	$standby->start;
	$pg->sql('CREATE TABLE sales.late AS SELECT 1 AS i; CHECKPOINT', 'shop');
	$standby->wait_for_sql("SELECT pg_last_wal_replay_lsn() >= '" . $pg->sql('SELECT pg_current_wal_lsn()') . "'", 't', 60);
	my $from = write_config(path("standby-$version.conf"), seawall => { workers => 2 },
		cluster => { pgdata => $dir, 'pg-host' => $standby->sockets, 'pg-port' => 5432, 'pg-user' => 'postgres',
			'archive-timeout' => '60s' },
		repos => [$repo]);
	my $work = SeawallTest::spawn('/bin/sh', '-c', 'while :; do echo "CHECKPOINT; SELECT pg_switch_wal()" | "$@" >/dev/null; sleep 0.5; done',
		'sh', $pg->psql_command);
	$r = seawall('backup', '--label', 'standby', { config => $from, timeout => 120 });
	is($r->{status}, 0, 'backup from a standby') or diag SeawallTest::describe($r);
	kill 'KILL', -$work->{pid};
	SeawallTest::reap($work);
	my @lines = lines_of($repo, 'standby') or return;
	is_deeply(told('shop', 0, @lines), truth($standby, 'shop', 'NOT c.relisshared'), 'a standby tells the same');
	ok(scalar(grep { $_ =~ / sales\.late r / } @{ told('shop', 0, @lines) }), '... as far as it has replayed');
	$standby->stop;
	return;
}

for my $version (versions())
{
	subtest "PostgreSQL $version" => sub { relations($version) };
}
done_testing();
