# Seawall's knowledge of PostgreSQL, held against real servers: the control file field by field, relation maps,
# every page's checksum, histories that recovery writes, and the session of a backup.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep time);

# Segment size and checksums of each version's cluster.
my %shape = (
	14 => { segment_mb => 16, checksums => 1 },
	15 => { segment_mb => 16, checksums => 1 },
	16 => { segment_mb => 64, checksums => 0 },
	17 => { segment_mb => 1, checksums => 0 },
	18 => { segment_mb => 64, checksums => 1 },
);

# A unit test's program that was given arguments: it may be run from a directory that the user cannot read.
sub unit
{
	my ($name, @argument) = @_;
	my $option = ref $argument[-1] eq 'HASH' ? pop @argument : {};
	return run("$ENV{BUILDDIR}/regress/unit/$name", @argument, { root => 1, %$option });
}

sub fields { my ($text) = @_; return { map { /^(\w+)=(.*)$/ ? ($1 => $2) : () } split /\n/, $text } }

sub data_files
{
	my ($pgdata, $wanted) = @_;
	my @names;
	find({ no_chdir => 1, follow => 1, wanted => sub {
		my $name = substr $File::Find::name, length($pgdata) + 1;
		push @names, $name if -f $File::Find::name && $name =~ $wanted;
	} }, map { "$pgdata/$_" } qw(base global pg_tblspc));
	return sort @names;
}

sub control
{
	my ($pgdata) = @_;
	my @maps = map { "$pgdata/$_" } data_files($pgdata, qr{/pg_filenode\.map$});
	my $r = unit('t_control', $pgdata, @maps);
	is($r->{status}, 0, 'pg_control is read') or diag $r->{err};
	my $fields = fields($r->{out});
	is(delete $fields->{relmaps}, scalar @maps, scalar(@maps) . ' relation maps are right');
	return $fields;
}

# What the server itself says, in sw_control's names.
sub control_by_sql
{
	my ($pg) = @_;
	my $lsn = sub { "($_[0] - '0/0')" };
	my %column = (
		system_identifier => 's.system_identifier', control_version => 's.pg_control_version',
		catalog_version => 's.catalog_version_no', checkpoint => $lsn->('c.checkpoint_lsn'),
		redo => $lsn->('c.redo_lsn'), timeline => 'c.timeline_id',
		next_xid => "split_part(c.next_xid, ':', 1)::bigint * 4294967296 + split_part(c.next_xid, ':', 2)::bigint",
		min_recovery => $lsn->('r.min_recovery_end_lsn'),
		min_recovery_timeline => 'r.min_recovery_end_timeline', block_size => 'i.database_block_size',
		wal_block_size => 'i.wal_block_size', segment_size => 'i.bytes_per_wal_segment',
		blocks_per_file => 'i.blocks_per_segment', checksum_version => 'i.data_page_checksum_version',
		wal_level => "CASE current_setting('wal_level') WHEN 'minimal' THEN 0 WHEN 'replica' THEN 1 ELSE 2 END",
		max_connections => "current_setting('max_connections')",
		max_worker_processes => "current_setting('max_worker_processes')",
		max_wal_senders => "current_setting('max_wal_senders')",
		max_prepared_xacts => "current_setting('max_prepared_transactions')",
		max_locks_per_xact => "current_setting('max_locks_per_transaction')",
	);
	my $list = join ', ', map { "'$_=' || ($column{$_})" } sort keys %column;
	my $text = $pg->sql("SELECT concat_ws('|', $list) FROM pg_control_system() s, pg_control_checkpoint() c,
		pg_control_init() i, pg_control_recovery() r");
	return fields($text =~ tr/|/\n/r);
}

sub is_same_control
{
	my ($pg, $state, $name) = @_;
	my $want = control_by_sql($pg);
	my $got = control($pg->pgdata);
	$want->{major} = $pg->version;
	$want->{state} = $state;
	is_deeply($got, $want, "$name: every field as the server says");
	return $got;
}

# Relations of all sizes and kinds, one of them elsewhere.
sub fill
{
	my ($pg) = @_;
	my $place = path($pg->version . '_space');
	mkdir $place or die "$place: $!";
	as_user_owner($place);
	$pg->pgbench('-i', '-q', '-s', 2);
	$pg->sql(<<"SQL");
CREATE TABLESPACE elsewhere LOCATION '$place';
CREATE TABLE moved TABLESPACE elsewhere AS SELECT g, repeat('x', 500) AS t FROM generate_series(1, 5000) g;
CREATE INDEX ON moved (g) TABLESPACE elsewhere;
CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS g;
CREATE TABLE gin AS SELECT ARRAY[g, g + 1] AS a FROM generate_series(1, 2000) g;
CREATE INDEX ON gin USING gin (a);
CREATE INDEX ON gin USING hash ((a[1]));
DELETE FROM moved WHERE g % 3 = 0;
VACUUM moved;
SQL
	return;
}

sub check_pages
{
	my ($pg, $control) = @_;
	my $pgdata = $pg->pgdata;
	my @names = data_files($pgdata, qr{(^|/)\d+(_\w+)?(\.\d+)?$});
	my $r = unit('t_page', $pgdata, @names);
	is($r->{status}, 0, 'all pages are read') or diag $r->{err};
	my $got = fields($r->{out});
	is($got->{files}, scalar @names, 'of all files');
	cmp_ok($got->{pages}, '>', 3000, "$got->{pages} pages");
	cmp_ok($got->{lsn_max}, '<=', $control->{checkpoint}, 'no page is newer than the checkpoint of the shutdown');
	if (!$control->{checksum_version})
	{
		is($got->{wrong}, $got->{pages} - $got->{new}, 'no page has a checksum');
		return;
	}
	is($got->{wrong}, 0, 'every checksum is right');
	my $text = run_ok(pg_client('pg_checksums'), '--check', '-D', $pgdata) if $pg->version == 15;
	is($got->{pages}, $text =~ /Blocks scanned:\s+(\d+)/ && $1, 'as many pages as pg_checksums saw') if $text;
	my ($victim) = grep { -s "$pgdata/$_" > 100_000 && /^base/ } @names;
	open my $fh, '+<:raw', "$pgdata/$victim" or die "$victim: $!";
	seek $fh, 3 * 8192 + 5000, 0;
	read $fh, my $byte, 1;
	seek $fh, 3 * 8192 + 5000, 0;
	print $fh chr(ord($byte) ^ 1);
	close $fh;
	is(fields(unit('t_page', $pgdata, $victim)->{out})->{wrong}, 1, "one flipped bit in $victim is seen");
	open $fh, '+<:raw', "$pgdata/$victim" or die "$victim: $!";
	seek $fh, 3 * 8192 + 5000, 0;
	print $fh $byte;
	close $fh;
	return;
}

# --- the session ---------------------------------------------------------------------

sub session
{
	my ($pg, $action, $argument, @option) = @_;
	unshift @option, '--pg-user', 'postgres' unless grep { $_ eq '--pg-user' } @option;
	my $r = unit('t_connection', $action, $argument, '--pg-host', $pg->sockets, '--pg-port', 5432, @option);
	return fields($r->{out});
}

sub is_failure
{
	my ($got, $kind, $text, $hint, $name) = @_;
	is($got->{failed}, $kind, "$name: $kind");
	like($got->{error} // '', $text, "$name: says why");
	like($got->{hint} // '', $hint, "$name: says what to do");
	return;
}

sub check_facts
{
	my ($pg, $control, $in_recovery) = @_;
	my $facts = session($pg, 'facts', '-');
	is(int($facts->{version} / 10000), $pg->version, 'the version');
	is($facts->{data_directory}, $pg->pgdata, 'the data directory');
	is($facts->{$_}, $control->{$_}, "fact: $_") for qw(system_identifier segment_size block_size timeline);
	is($facts->{checksums}, $control->{checksum_version}, 'fact: checksums');
	is($facts->{in_recovery}, $in_recovery, 'fact: in recovery');
	return;
}

sub check_session
{
	my ($pg) = @_;
	is(session($pg, 'setting', 'wal_level')->{value}, 'replica', 'a setting');
	is(session($pg, 'setting', 'idle_session_timeout')->{value}, '0', 'no time-out ends an idle session');
	is_failure(session($pg, 'setting', 'no_such'), 'not found', qr/no setting no_such/, qr/^$/, 'an unknown setting');
	my $before = session($pg, 'lsn', '-')->{lsn};
	my $segment = session($pg, 'switch', '-')->{segment};
	my $after = session($pg, 'lsn', '-')->{lsn};
	is($pg->sql("SELECT pg_walfile_name('$before')"), $segment, 'the segment that was closed is named');
	isnt($pg->sql("SELECT pg_walfile_name('$after'::pg_lsn + 1)"), $segment, 'and WAL goes on in the next');
	isnt(session($pg, 'switch', '-')->{segment}, $segment, 'there is always something to switch');

	my $r = unit('t_connection', 'query', 'SELECT generate_series(1, 200000)', '--pg-host', $pg->sockets,
		'--pg-user', 'postgres');
	like($r->{out}, qr/^1000\nstill there\nfailed=conflict/m, 'a query that its reader gave up');
	is_failure(session($pg, 'query', 'SELECT 1/0'), 'system', qr/PostgreSQL: division by zero/, qr/^$/, 'an error');
	is_failure(session($pg, 'query', 'SELECT 1, 2'), 'bug', qr/2 columns instead of 1/, qr/^$/, 'a wrong count');
	is_failure(session($pg, 'query', 'SELECT pg_terminate_backend(pg_backend_pid())'), 'transient',
		qr/terminat/, qr/^$/, 'a session that is ended');
	return;
}

sub check_backup
{
	my ($pg, $label) = @_;
	my $got = session($pg, 'backup', $label);
	like($got->{start} // '', qr{^[0-9A-F]+/[0-9A-F]+$}, 'a backup starts') or diag explain $got;
	like($got->{stop} // '', qr{^[0-9A-F]+/[0-9A-F]+$}, 'and stops');
	my $r = unit('t_connection', 'backup', $label, '--pg-host', $pg->sockets, '--pg-user', 'postgres');
	like($r->{out}, qr/^START WAL LOCATION: \S+ \(file [0-9A-F]{24}\)$/m, 'the label says where it started');
	like($r->{out}, qr/^LABEL: \Q$label\E$/m, 'and how it is called');
	my $place = path($pg->version . '_space');
	like($r->{out}, qr/^map=\d+ \Q$place\E$/m, 'the tablespace is in the map');
	return;
}

sub check_stop_after_signal
{
	my ($pg) = @_;
	my $got = session($pg, 'backup', 'signal');
	ok(defined $got->{stop}, 'after a signal a backup can still be stopped') or diag explain $got;
	return;
}

# A checkpoint that takes its time is not waited for.
sub check_signal
{
	my ($pg, $action, $argument) = @_;
	$pg->sql('UPDATE pgbench_accounts SET abalance = abalance + 1') if $action eq 'slow-backup';
	my $child = spawn("$ENV{BUILDDIR}/regress/unit/t_connection", $action, $argument, '--pg-host', $pg->sockets,
		'--pg-user', 'postgres', { root => 1 });
	my $busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seawall' AND state = 'active'";
	$pg->wait_for_sql($busy, 1);
	my $start = time;
	kill 'TERM', $child->{pid};
	my $r = SeawallTest::reap($child, 30);
	is($r->{status}, 1, "SIGTERM ends $action");
	like($r->{out}, qr/^error=.*stopped by SIGTERM$/m, 'and is named');
	cmp_ok(time - $start, '<', 3, 'at once');
	$pg->wait_for_sql($busy, 0, 10);
	return;
}

sub check_denials
{
	my ($pg) = @_;
	$pg->sql('CREATE ROLE nobody LOGIN; CREATE ROLE bolted LOGIN');
	$pg->sql(q(ALTER ROLE nobody SET search_path = evil, public; ALTER ROLE nobody SET statement_timeout = '100ms'));
	my $function = $pg->version < 15 ? 'pg_start_backup' : 'pg_backup_start';
	my @user = ('--pg-user', 'nobody');
	is_failure(session($pg, 'facts', '-', @user), 'denied', qr/data_directory/, qr/GRANT pg_read_all_settings TO "nobody"/,
		'a role without rights');
	is_failure(session($pg, 'backup', 'x', @user), 'denied', qr/^starting the backup: .*permission denied/,
		qr/GRANT EXECUTE ON FUNCTION $function\(/, 'its backup');
	is_failure(session($pg, 'switch', '-', @user), 'denied', qr/permission denied/, qr/pg_switch_wal/, 'its switch');
	is(session($pg, 'setting', 'statement_timeout', @user)->{value}, '0', 'its own time-out does not count');
	is(session($pg, 'setting', 'search_path', @user)->{value}, 'pg_catalog', 'nor does its search path');

	my $hint = session($pg, 'backup', 'x', @user)->{hint};
	my ($grant) = $hint =~ /(GRANT .*)$/;
	my $stop = $pg->version < 15 ? 'pg_stop_backup(boolean, boolean)' : 'pg_backup_stop(boolean)';
	$pg->sql("$grant; GRANT EXECUTE ON FUNCTION $stop TO nobody; GRANT pg_read_all_settings TO nobody");
	ok(defined session($pg, 'backup', 'x', @user)->{stop}, 'the hint, followed, works');
	ok(defined session($pg, 'facts', '-', @user)->{version}, 'and the other');

	is_failure(session($pg, 'facts', '-', '--pg-database', 'nope'), 'configuration', qr/"nope" does not exist/,
		qr/pg-database/, 'a database that is not there');
	is_failure(session($pg, 'facts', '-', '--pg-user', 'ghost'), 'denied', qr/"ghost" does not exist/, qr/pg_hba/,
		'a role that is not there');
	my $hba = $pg->pgdata . '/pg_hba.conf';
	spew($hba, "local all bolted scram-sha-256\n" . slurp($hba));
	$pg->sql("ALTER ROLE bolted PASSWORD 'right'");
	$pg->reload;
	$pg->wait_for_sql("SELECT count(*) FROM pg_hba_file_rules WHERE user_name = '{bolted}'", 1);
	for (['none' => undef], ['a wrong one' => 'hunter2'])
	{
		my ($name, $password) = @$_;
		my $r = unit('t_connection', 'facts', '-', '--pg-host', $pg->sockets, '--pg-user', 'bolted',
			{ env => { PGPASSWORD => $password } });
		is_failure(fields($r->{out}), 'denied', qr/password/, qr/pgpass/, "password: $name");
		unlike($r->{out} . $r->{err}, qr/hunter2/, 'it is not told');
	}
	return;
}

# --- standby and recovery -----------------------------------------------------------------

sub copy_directory
{
	my ($from, $name) = @_;
	my $to = path($name);
	run_ok('cp', '-a', $from, $to);
	return $to;
}

sub check_standby
{
	my ($primary, $directory) = @_;
	my $standby = SeawallTest::Cluster->new(version => $primary->version, name => 'standby' . $primary->version,
		from => $directory);
	$standby->own_settings("primary_conninfo = '" . $primary->conninfo . "'");
	spew("$directory/standby.signal", '');
	$standby->start;
	$primary->sql('CREATE TABLE later AS SELECT 1');
	$primary->sql('CHECKPOINT');
	my $lsn = $primary->sql('SELECT pg_current_wal_lsn()');
	$standby->wait_for_sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'", 't');
	$standby->sql('CHECKPOINT');
	my $control = is_same_control($standby, 5, 'a standby');
	cmp_ok($control->{min_recovery}, '>', 0, 'a standby has a minimum recovery point');
	check_facts($standby, $control, 1);
	like(session($standby, 'lsn', '-')->{lsn}, qr{^0/}, 'its position is what was replayed');
	my $got = session($standby, 'backup', 'from standby');
	ok(defined $got->{stop}, 'a backup of a standby') or diag explain $got;
	is_failure(session($standby, 'switch', '-'), 'system', qr/during recovery/, qr/^$/, 'no switch on a standby');
	$standby->stop;
	return;
}

# Recover a copy to a restore point and promote it; the new timeline's history.
sub recover
{
	my ($name, $copy, $archive, $timeline, $target) = @_;
	my $pg = SeawallTest::Cluster->new(name => $name, from => $copy);
	$pg->own_settings(<<"CONF");
restore_command = 'cp $archive/%f %p'
recovery_target_timeline = '$timeline'
recovery_target_name = '$target'
recovery_target_action = 'promote'
CONF
	spew("$copy/recovery.signal", '');
	$pg->start;
	$pg->wait_for_sql('SELECT pg_is_in_recovery()', 'f');
	my $newest = session($pg, 'facts', '-')->{timeline};
	my $file = sprintf '%08X.history', $newest;
	wait_until($file, sub { -e "$archive/$file" });
	$pg->stop;
	return ($newest, "$archive/$file");
}

# Recovery to before its target timeline's beginning: the switch LSNs in the new history fall.
sub check_falling_history
{
	my $archive = path('archive');
	mkdir $archive or die "$archive: $!";
	as_user_owner($archive);
	my $pg = SeawallTest::Cluster->new(name => 'first',
		conf => "archive_mode = on\narchive_command = 'cp %p $archive/%f'");
	$pg->start; # pg_control gets the settings of the configuration
	$pg->stop;
	my @copies = map { copy_directory($pg->pgdata, "again$_") } 1, 2;
	$pg->start;
	my @lsn;
	for my $point (qw(early late))
	{
		$pg->sql("CREATE TABLE before_$point AS SELECT generate_series(1, 1000) AS g");
		push @lsn, $pg->sql("SELECT pg_create_restore_point('$point') - '0/0'");
	}
	$pg->switch_and_wait;
	$pg->stop;
	my ($second, $second_file) = recover('second', $copies[0], $archive, 'latest', 'late');
	my ($third, $third_file) = recover('third', $copies[1], $archive, 'latest', 'early');
	is("$second $third", '2 3', 'timelines 2 and 3');

	my @switch = map { m{^(\d+)\s+([0-9A-F]+)/([0-9A-F]+)} ? (hex($2) << 32 | hex $3) : () } split /\n/, slurp($third_file);
	cmp_ok($switch[1], '<', $switch[0], 'the switch LSNs of timeline 3 fall');
	is($switch[1], $lsn[0], 'the second is where recovery stopped');
	my $entries = unit('t_timeline', 3, $third_file)->{out};
	my $fork = sprintf '%x', $lsn[0];
	is($entries, "1:0-$fork 2:$fork-$fork 3:$fork-0\n", 'timeline 1 ends there and nothing of 2 counts');
	is(unit('t_timeline', 2, $second_file)->{out}, sprintf("1:0-%x 2:%x-0\n", ($switch[0]) x 2), 'timeline 2');
	return;
}

# --- all of it ------------------------------------------------------------------------------

for my $version (versions())
{
	subtest "PostgreSQL $version" => sub {
		my $pg = SeawallTest::Cluster->new(version => $version, name => "v$version", %{ $shape{$version} },
			conf => 'max_prepared_transactions = 7');
		my $control = control($pg->pgdata);
		is($control->{state}, 1, 'shut down');
		is($control->{segment_size}, $shape{$version}{segment_mb} << 20, 'the segment size asked for');
		is($control->{checksum_version}, $shape{$version}{checksums}, 'checksums as asked for');
		$pg->start;
		fill($pg);
		$pg->sql('CHECKPOINT');
		$control = is_same_control($pg, 6, 'a primary');
		check_facts($pg, $control, 0);
		check_session($pg);
		check_backup($pg, q(it's "2026-01-01"));
		check_stop_after_signal($pg);
		check_signal($pg, 'slow-backup', 'slow');
		check_signal($pg, 'query', 'SELECT pg_sleep(60)');
		check_denials($pg);
		$pg->stop;
		check_pages($pg, control($pg->pgdata));
		my $copy = copy_directory($pg->pgdata, "copy$version");
		$pg->start;
		check_standby($pg, $copy);
		$pg->stop;
	};
}
subtest 'a history whose LSNs fall' => \&check_falling_history;

done_testing();
