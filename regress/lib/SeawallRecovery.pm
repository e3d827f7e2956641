# SeawallRecovery - recoveries that fetch by seawall-fetch, and what can be seen of their fetching ahead.
package SeawallRecovery;

use strict;
use warnings;
use Cwd ();
use Exporter qw(import);
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep);

our @EXPORT = qw(
	backup_of fill sum_of new_recovery spool_of spooled spool_bytes background startup_of hold
	left_behind recovered caught_up stopped_itself
);

# A plain base backup without WAL: all of that comes from the repository.
sub backup_of
{
	my ($primary, $dir) = @_;
	if ($primary->version > 15) { copy_backup($primary, $dir) }
	else
	{
		run_ok(SeawallTest::pg_client('pg_basebackup'), '-D', $dir, '-X', 'none', '--no-manifest', '-c', 'fast',
			'-d', $primary->conninfo, { timeout => 120 });
	}
	return $dir;
}

# Debian's pg_basebackup does not know newer servers.
sub copy_backup
{
	my ($primary, $dir) = @_;
	my $fifo = path('backup.session');
	POSIX::mkfifo($fifo, 0600) or die "$fifo: $!";
	as_user_owner($fifo);
	my $session = spawn('/bin/sh', '-c', 'exec "$0" "$@" <' . $fifo, $primary->psql_command);
	open my $to, '>', $fifo or die "$fifo: $!";
	unlink $fifo;
	$to->autoflush;
	my $started = path('backup.started');
	print $to "SELECT pg_backup_start('copy', true) \\g $started\n";
	wait_until('pg_backup_start', sub { -s $started }, 120);
	run('/bin/cp', '-a', $primary->pgdata, $dir);
	run_ok('/bin/sh', '-c', "rm -rf $dir/postmaster.* $dir/pg_wal/0* $dir/pg_wal/archive_status/* $dir/pg_wal/seawall.spool");
	print $to "\\o $dir/backup_label\n", 'SELECT labelfile FROM pg_backup_stop(false)', "\n\\g\n";
	close $to;
	my $r = SeawallTest::reap($session, 120);
	die SeawallTest::describe($r) unless defined $r->{status} && $r->{status} == 0;
	unlink $started;
	return;
}

# Rows of a table t(n bigserial, a int, b text) that fill about `count` segments of 1 MB, all of them archived.
sub fill
{
	my ($primary, $count) = @_;
	$primary->sql("INSERT INTO t (a, b) SELECT g, md5(g::text || random()) FROM generate_series(1, 4000) g; SELECT pg_switch_wal()")
		for 1 .. $count;
	$primary->sql("SELECT pg_logical_emit_message(true, '', 'the last segment is not empty')");
	return $primary->switch_and_wait;
}

# What a recovery has brought back.
sub sum_of { my ($server) = @_; return $server->sql('SELECT count(*), md5(string_agg(b, NULL ORDER BY n)) FROM t') }

# new_recovery(base => DIR, repo => REPO, OPTION...): a copy of the base backup, ready to recover.
#   proxy: goes through it; cluster, settings: options of [cluster] and of [repo]; conf: of PostgreSQL; standby => 1;
#   archive => 1: archives into the same repository; more => [REPO...]: further repositories
sub new_recovery
{
	my (%o) = @_;
	our $serial;
	my $name = $o{name} // 'r' . ++$serial;
	my $dir = path($name);
	run_ok('/bin/cp', '-a', $o{base}, $dir);
	chmod 0700, $dir;
	my $server = SeawallTest::Cluster->new(name => $name, from => $dir, version => $o{version} // 15);
	my $through = SeawallTest::Repo->new(%{ $o{repo} }, proxy => $o{proxy},
		settings => { 'store-deadline' => '3s', 'store-stall-timeout' => '1s', 'store-connect-timeout' => '1s', %{ $o{settings} // {} } });
	my $config = write_config(path("$name.conf"), cluster => { 'fetch-hole-wait' => '300ms', %{ $o{cluster} // {} } },
		repos => [ $through, @{ $o{more} // [] } ]);
	$server->own_settings('archive_mode = ' . ($o{archive} ? 'on' : 'off') . "\nhot_standby = on\nlogging_collector = "
		. ($o{collector} ? 'on' : 'off') . "\nrestore_command = '" . $server->restore_command($config) . "'\n"
		. ($o{archive} ? "archive_command = '" . program('seawall-push') . " --config $config %p'\n" : '') . ($o{conf} // ''));
	spew("$dir/" . ($o{standby} ? 'standby.signal' : 'recovery.signal'), '');
	$server->{config} = $config;
	return $server;
}

sub spool_of { my ($server) = @_; return $server->pgdata . '/pg_wal/seawall.spool/fetch' }
sub spooled { my ($server) = @_; return map { m{([^/]+)$} } glob(spool_of($server) . '/*') }
sub spool_bytes
{
	my ($server) = @_;
	my $sum = 0;
	$sum += (-s $_) // 0 for glob(spool_of($server) . '/0*');
	return $sum;
}

# The background process of this recovery, by its title and its spool.
sub background
{
	my ($server) = @_;
	my $dir = Cwd::abs_path($server->pgdata);
	for my $proc (glob('/proc/[0-9]*'))
	{
		open my $fh, '<', "$proc/cmdline" or next;
		my $title = <$fh> // '';
		close $fh;
		next unless $title =~ /^seawall-fetch: fetching ahead/;
		my $spool = readlink("$proc/fd/3") // next;
		return $proc =~ s{.*/}{}r if $spool eq "$dir/pg_wal/seawall.spool/fetch";
	}
	return undef;
}

sub left_behind
{
	my ($server, $name) = @_;
	return pass($name) if eval { wait_until('it', sub { !background($server) && !spooled($server) }, 20); 1 };
	fail($name);
	diag join ' ', background($server) // '-', spooled($server);
	return 0;
}

sub recovered { my ($server) = @_; return $server->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 120) }
sub caught_up { my ($server, $sum) = @_; return eval { wait_until('the standby', sub { sum_of($server) eq $sum }, 90); 1 } }
sub stopped_itself { my ($server) = @_; return eval { wait_until('the server to stop', sub { !$server->pid }, 90); 1 } }

sub startup_of
{
	my ($server) = @_;
	for my $pid (split ' ', `ps -o pid= --ppid @{[ $server->pid // 0 ]}`)
	{
		open my $fh, '<', "/proc/$pid/cmdline" or next;
		return $pid if (<$fh> // '') =~ /startup/;
	}
	return undef;
}

# Start, hold the startup process still between two calls, wait until the spool has `count` segments; its pid.
sub hold
{
	my ($server, $count) = @_;
	$server->start;
	my $pid = startup_of($server) // die 'no startup process';
	wait_until('the background process', sub { background($server) }, 30);
	# not in the middle of a call
	wait_until('a moment between two calls', sub {
		kill 'STOP', $pid;
		return 1 unless `ps -o pid= --ppid $pid`;
		kill 'CONT', $pid;
		return 0;
	}, 30);
	wait_until('the spool', sub { (grep { !/part|asked|target/ } spooled($server)) >= $count }, 30) if $count;
	return $pid;
}

1;
