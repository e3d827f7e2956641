# The main job: archive under load, back up, lose a table, get it back to a moment.
# On every PostgreSQL, on a directory and on S3 (HTTPS).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep);

my $s3 = SeawallTest::Gateway->new;

sub succeeds
{
	my ($name, $r) = @_;
	ok(defined $r->{status} && $r->{status} == 0, $name) or diag SeawallTest::describe($r);
	return $r;
}

# A primary with what makes backups hard: a tablespace, pg_wal elsewhere, unlogged and temporary tables.
sub make_primary
{
	my ($version, $kind, $name) = @_;
	my $site = new_site($name, kind => $kind, gateway => $s3, version => $version, segment_mb => $kind eq 'file' ? 1 : 16,
		wal_dir => path("wal-$name"));
	my ($pg, $repo, $config) = @$site{qw(pg repo config)};
	$pg->{tablespace} = SeawallTest::make_dir(path("ts-$name"));
	$pg->sql("CREATE TABLESPACE far LOCATION '$pg->{tablespace}'");
	$pg->pgbench('-i', '-q', '-s', 2);
	$pg->sql(<<'SQL');
CREATE TABLE mark (id serial PRIMARY KEY, word text, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE distant TABLESPACE far AS SELECT g AS id, md5(g::text) AS word FROM generate_series(1, 30000) g;
CREATE INDEX ON distant (word);
CREATE UNLOGGED TABLE fleeting AS SELECT g FROM generate_series(1, 100) g;
CREATE TABLE large (t text);
ALTER TABLE large ALTER t SET STORAGE external;
INSERT INTO large SELECT repeat(md5(g::text), 2000) FROM generate_series(1, 50) g;
CREATE DATABASE other;
SQL
	return ($pg, $repo, $config);
}

my @serial;
# Restore with the given target, start, and wait for the promotion.
sub restored
{
	my ($pg, $config, $name, @target) = @_;
	my $dir = path("r$name" . ++$serial[0]);
	my @where = ('--pgdata', $dir, '--tablespace-map', "$pg->{tablespace}=$dir-far", '--wal-dir', "$dir-wal");
	succeeds("restore @target", seawall('restore', @where, @target, '--target-action', 'promote', { config => $config }))
		->{status} == 0 or return undef;
	my $new = SeawallTest::Cluster->new(version => $pg->version, name => "r$name$serial[0]", from => $dir);
	$new->own_settings("max_connections = 30\narchive_command = 'false'\n");
	$new->start;
	$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 90);
	return $new;
}

sub marks { my ($pg) = @_; return join ' ', split /\n/, $pg->sql('SELECT word FROM mark ORDER BY id') }

# What holds at every moment: pgbench's sums, the distant table, sound pages and indexes.
sub sound
{
	my ($pg, $name) = @_;
	is($pg->sql(<<'SQL'), 't', "$name: every transaction is whole");
SELECT (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
   AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)
SQL
	is($pg->sql("SELECT count(*), count(*) FILTER (WHERE word = md5(id::text)) FROM distant"), '30000|30000', '... the tablespace too');
	is($pg->sql('SELECT count(*), sum(length(t)) FROM large'), '50|3200000', '... and what is out of line');
	is($pg->sql('SELECT count(*) FROM fleeting'), '0', '... unlogged tables are empty');
	is($pg->amcheck, '', '... and pg_amcheck finds nothing');
	succeeds('... new work is possible', SeawallTest::run($pg->pgbench_command('-n', '-t', 20)));
}

sub end_to_end
{
	my ($version, $kind) = @_;
	my $name = "$version$kind";
	my ($pg, $repo, $config) = make_primary($version, $kind, $name);
	my $wrong = seawall('check', { config => $config });
	is($wrong->{status}, 3, 'check: fsync is off, which is wrong') or diag SeawallTest::describe($wrong);
	like($wrong->{out}, qr/fsync = on/, '... and it says what to write');
	like($wrong->{out}, qr{^ok +WAL into .* and back}m, '... and proves the loop all the same');
	$pg->sql('ALTER SYSTEM SET fsync = on');
	$pg->reload;
	succeeds('check: the whole loop', seawall('check', { config => $config }));
	$pg->sql('ALTER SYSTEM RESET fsync');
	$pg->reload;

	my $load = SeawallTest::spawn($pg->pgbench_command('-n', '-c', 2, '-R', 400, '-T', 600));
	my $backup = succeeds('backup under load', seawall('backup', '--label', 'first', { config => $config }));
	my $list = succeeds('list', seawall('list', { config => $config }));
	like($list->{out}, qr/\bfirst\b/, '... names it');
	my $json = eval { decode_json(seawall('list', '--json', { config => $config })->{out}) };
	ok($json, '... and as JSON');

	my %target;
	$pg->sql("INSERT INTO mark (word) VALUES ('one')");
	$target{xid} = $pg->sql("BEGIN; INSERT INTO mark (word) VALUES ('two'); SELECT pg_current_xact_id(); COMMIT");
	$pg->sql("INSERT INTO mark (word) VALUES ('three')");
	$target{lsn} = $pg->sql('SELECT pg_current_wal_insert_lsn()');
	sleep 0.05;
	$pg->sql("INSERT INTO mark (word) VALUES ('four')");
	$pg->sql("SELECT pg_create_restore_point('safe')");
	sleep 0.05;
	$target{time} = $pg->sql("SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.US') || '+00'");
	sleep 0.05;
	$pg->sql("BEGIN; INSERT INTO mark (word) VALUES ('five'); DROP TABLE pgbench_accounts; COMMIT");
	kill 'TERM', $load->{pid};
	SeawallTest::reap($load);
	$pg->sql("INSERT INTO mark (word) VALUES ('six')");
	$pg->switch_and_wait;

	my $new = restored($pg, $config, $name, '--target-time', $target{time}) or return;
	is(marks($new), 'one two three four', 'time: exactly the rows committed before it');
	is($new->sql('SELECT count(*) FROM pgbench_accounts'), '200000', '... and the dropped table is back');
	ok(-l $new->pgdata . '/pg_wal', '... pg_wal is a link');
	sound($new, 'time');
	$new->stop;

	if ($kind eq 'file')
	{
		for my $case ([ 'xid', [ '--target-xid', $target{xid} ], 'one two' ],
			[ 'exclusive xid', [ '--target-xid', $target{xid}, '--target-exclusive' ], 'one' ],
			[ 'restore point', [ '--target-name', 'safe' ], 'one two three four' ])
		{
			my ($what, $options, $want) = @$case;
			my $r = restored($pg, $config, $name, @$options) or next;
			is(marks($r), $want, "$what: exactly those rows");
			$r->stop;
		}
	}
	else
	{
		for my $case ([ 'immediate', [ '--target-immediate', '--backup', 'first' ], qr/^$/ ],
			[ 'lsn', [ '--target-lsn', $target{lsn} ], qr/^one two three( four)?$/ ],
			[ 'exclusive lsn', [ '--target-lsn', $target{lsn}, '--target-exclusive' ], qr/^one two three$/ ])
		{
			my ($what, $options, $want) = @$case;
			my $r = restored($pg, $config, $name, @$options) or next;
			like(marks($r), $want, "$what: exactly those rows");
			$r->stop;
		}
	}
	my $latest = restored($pg, $config, $name) or return;
	is(marks($latest), 'one two three four five six', 'latest: everything');
	is($latest->sql("SELECT to_regclass('pgbench_accounts') IS NULL"), 't', '... the drop too');
	$latest->stop;
	from_standby($pg, $config, $repo, $name);
	$pg->stop;
}

# A standby made by restore, a backup taken from it, and that one restored.
sub from_standby
{
	my ($pg, $config, $repo, $name) = @_;
	my $dir = path("standby$name");
	succeeds('restore --standby', seawall('restore', '--standby', '--pgdata', $dir, '--tablespace-map',
		"$pg->{tablespace}=$dir-far", { config => $config }))->{status} == 0 or return;
	my $standby = SeawallTest::Cluster->new(version => $pg->version, name => "s$name", from => $dir);
	$standby->own_settings("primary_conninfo = '" . $pg->conninfo . "'\narchive_command = 'false'\nhot_standby = on\n");
	# Restored settings are in postgresql.auto.conf, which wins.
	SeawallTest::append("$dir/postgresql.auto.conf", "primary_conninfo = '" . $pg->conninfo . "'\n");
	$standby->start;
	$pg->sql("INSERT INTO mark (word) VALUES ('seven')");
	$standby->wait_for_sql("SELECT count(*) FROM mark WHERE word = 'seven'", '1', 60);
	is($standby->sql('SELECT pg_is_in_recovery()'), 't', 'it runs as a standby');

	my $from = write_config(path("standby-$name.conf"), seawall => { workers => 2 },
		cluster => { pgdata => $dir, 'pg-host' => $standby->sockets, 'pg-port' => 5432, 'pg-user' => 'postgres',
			'archive-timeout' => '60s' },
		repos => [$repo]);
	# The primary works on, so its WAL arrives.
	my $work = SeawallTest::spawn('/bin/sh', '-c', 'while :; do echo "CHECKPOINT; SELECT pg_switch_wal()" | "$@" >/dev/null; sleep 0.5; done',
		'sh', $pg->psql_command);
	my $load = SeawallTest::spawn($pg->pgbench_command('-n', '-N', '-R', 100, '-T', 600, '-f', pgbench_script()));
	succeeds('backup from a standby', seawall('backup', '--label', 'second', { config => $from, timeout => 120 }));
	kill 'KILL', -$_->{pid} for $work, $load;
	SeawallTest::reap($_) for $work, $load;
	$pg->sql("INSERT INTO mark (word) VALUES ('eight')");
	$pg->switch_and_wait;
	$standby->stop;
	# The standby's tablespace stood elsewhere: the map names where it was when it was backed up.
	local $pg->{tablespace} = "$dir-far";
	my $new = restored($pg, $config, $name, '--backup', 'second') or return;
	is(marks($new), 'one two three four five six seven eight', 'a backup from a standby holds everything');
	is($new->amcheck, '', '... and is sound');
	$new->stop;
}

sub pgbench_script
{
	return SeawallTest::spew(path('script.sql'), "INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES (1, 1, 1, 0);\n");
}

for my $version (versions())
{
	for my $kind (qw(file s3))
	{
		subtest "PostgreSQL $version, $kind" => sub { end_to_end($version, $kind) };
	}
}
done_testing();
