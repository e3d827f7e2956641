# SeawallTest - what the end-to-end tests stand on.
#
# Real PostgreSQL servers, a real S3 gateway, a proxy that does wrong on demand, repositories that a
# test can look into and damage, and the built programs, run as an unprivileged user.  Core Perl only.
#
# Everything lives in one private directory, SeawallTest::directory(), and ends with the test; the
# directory is kept (and named) when the test failed or SEAWALL_TEST_KEEP is set.
#
# Environment: BUILDDIR (where the programs were built), SEAWALL_TEST_TMP (default /tmp),
# SEAWALL_TEST_USER (when root; default postgres), SEAWALL_TEST_VERSIONS (instead of 15 17 18),
# SEAWALL_TEST_LONG (14 and 16 too), SEAWALL_TEST_KEEP.
package SeawallTest;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use Fcntl qw(:mode);
use File::Basename qw(dirname basename);
use File::Copy ();
use File::Path qw(remove_tree);
use File::Temp ();
use POSIX qw(:sys_wait_h setuid setgid);
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(
	directory path slurp spew append seed_file run run_ok seawall push_wal fetch_wal program spawn
	wait_until versions build_has write_config new_site is_one_line pg_client as_user_owner long_tests
);

my $library = abs_path(dirname(__FILE__));
my $owner = $$;
my ($directory, @clusters, @gateways, @children, @mounts);
my ($user_uid, $user_gid, $user_name);

# A run that is cut off must still clean up.
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = $SIG{PIPE} = sub { exit 130 };
delete @ENV{ grep { /^(AWS_|SEAWALL_(?!TEST_)|PG)/ } keys %ENV };
$ENV{LC_ALL} = 'C.UTF-8';
$ENV{TZ} = 'UTC';

sub long_tests { return $ENV{SEAWALL_TEST_LONG} ? 1 : 0 }

# --- the user that runs everything ----------------------------------------------

sub test_user
{
	return if defined $user_uid;
	if ($> != 0)
	{
		($user_uid, $user_gid, $user_name) = ($>, $) + 0, (getpwuid($>))[0]);
		return;
	}
	my $name = $ENV{SEAWALL_TEST_USER} // 'postgres';
	my @pw = getpwnam($name) or die "no user $name: PostgreSQL does not run as root\n";
	($user_uid, $user_gid, $user_name) = ($pw[2], $pw[3], $name);
}

# Give files that root made to the user of the tests.
sub as_user_owner
{
	test_user();
	chown $user_uid, $user_gid, @_ if $> == 0;
	return;
}

# In a child: become that user for good.
sub become_user
{
	return if $> != 0;
	$) = "$user_gid $user_gid";
	setgid($user_gid) or die "setgid: $!";
	setuid($user_uid) or die "setuid: $!";
}

# --- files ------------------------------------------------------------------------

sub directory
{
	return $directory if defined $directory;
	test_user();
	my $base = $ENV{SEAWALL_TEST_TMP} // '/tmp';
	$directory = abs_path(File::Temp::tempdir('sw.XXXXXX', DIR => $base));
	chmod 0755, $directory or die "chmod $directory: $!";
	as_user_owner($directory);
	return $directory;
}

# A name inside the test's directory.
sub path { return join '/', directory(), @_ }

sub slurp
{
	my ($file) = @_;
	open my $fh, '<:raw', $file or die "$file: $!";
	local $/;
	my $text = <$fh>;
	return $text // '';
}

sub write_file
{
	my ($mode, $file, $text) = @_;
	open my $fh, "$mode:raw", $file or die "$file: $!";
	print $fh $text or die "$file: $!";
	close $fh or die "$file: $!";
	as_user_owner($file);
	return $file;
}
sub spew { return write_file('>', @_) }
sub append { return write_file('>>', @_) }

# Reproducible bytes that do not compress.
sub seed_file
{
	my ($file, $bytes, $seed) = @_;
	my $state = $seed // 1;
	my $text = '';
	while (length $text < $bytes)
	{
		$state = ($state * 1103515245 + 12345) & 0x7fffffff;
		$text .= pack 'N', $state;
	}
	return spew($file, substr $text, 0, $bytes);
}

sub make_dir
{
	my ($dir) = @_;
	mkdir $dir or die "mkdir $dir: $!" unless -d $dir;
	as_user_owner($dir);
	return $dir;
}

# A small file system of its own, to be filled up; undef where none may be mounted.
sub small_disk
{
	my ($dir, $size) = @_;
	make_dir($dir);
	return undef if $> != 0;
	test_user();
	system('mount', '-t', 'tmpfs', '-o', "size=$size,uid=$user_uid,gid=$user_gid,mode=700",
		'seawall-test', $dir) == 0
		or return undef;
	push @mounts, $dir;
	return $dir;
}

# --- processes ----------------------------------------------------------------------

# Start a program as the test's user, in a process group of its own.
#   env: {NAME => value or undef}, cwd, stdin (text), root => 1: stay root
# Returns a handle: {pid, out, err (file names)}; see reap().
sub spawn
{
	my $option = ref $_[-1] eq 'HASH' ? pop @_ : {};
	my @command = @_;
	our $serial;
	my $base = path('run.' . ++$serial);
	spew("$base.in", $option->{stdin} // '');
	spew("$base.$_", '') for qw(out err);
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		POSIX::setpgid(0, 0);
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
		open STDIN, '<', "$base.in" or POSIX::_exit(127);
		open STDOUT, '>>', "$base.out" or POSIX::_exit(127);
		open STDERR, '>>', "$base.err" or POSIX::_exit(127);
		become_user() unless $option->{root};
		chdir($option->{cwd} // directory()) or POSIX::_exit(127);
		$ENV{HOME} = directory();
		while (my ($name, $value) = each %{ $option->{env} // {} })
		{
			if (defined $value) { $ENV{$name} = $value }
			else { delete $ENV{$name} }
		}
		{ no warnings 'exec'; exec { $command[0] } @command; }
		print STDERR "exec $command[0]: $!\n";
		POSIX::_exit(127);
	}
	my $child = { pid => $pid, base => $base, command => [@command], started => time };
	push @children, $child;
	return $child;
}

# Wait for a spawned program to end, at most `timeout` seconds (default 120), then kill its group.
# Returns {status (undef if killed), signal, out, err, seconds, timed_out}.
sub reap
{
	my ($child, $timeout) = @_;
	my $end = time + ($timeout // 120);
	my $timed_out = 0;
	while (waitpid($child->{pid}, WNOHANG) == 0)
	{
		if (time > $end)
		{
			$timed_out = 1;
			kill 'KILL', -$child->{pid};
			$end = time + 1e9;
		}
		sleep 0.01;
	}
	my $wait = $?;
	@children = grep { $_ != $child } @children;
	my $result = {
		status => ($wait & 127) ? undef : $wait >> 8,
		signal => $wait & 127,
		out => slurp("$child->{base}.out"),
		err => slurp("$child->{base}.err"),
		seconds => time - $child->{started},
		timed_out => $timed_out,
		command => $child->{command},
	};
	unlink map { "$child->{base}.$_" } qw(in out err);
	return $result;
}

# Running still: neither gone nor waiting to be reaped.
sub alive
{
	my ($child) = @_;
	open my $fh, '<', "/proc/$child->{pid}/stat" or return 0;
	return (<$fh> // '') !~ /\) [ZX] /;
}

# Run to the end.  Options as spawn, and timeout.
sub run
{
	my $option = ref $_[-1] eq 'HASH' ? $_[-1] : {};
	return reap(spawn(@_), $option->{timeout});
}

# Run, die with all that it said unless the status is 0; its standard output.
sub run_ok
{
	my $r = run(@_);
	return $r->{out} if defined $r->{status} && $r->{status} == 0;
	die "failed: " . describe($r);
}

sub describe
{
	my ($r) = @_;
	return sprintf "%s\n  status %s signal %d%s after %.1f s\n  out: %s\n  err: %s\n",
		join(' ', @{ $r->{command} }), $r->{status} // '-', $r->{signal},
		$r->{timed_out} ? ' (timed out)' : '', $r->{seconds}, $r->{out}, $r->{err};
}

sub wait_until
{
	my ($what, $condition, $timeout) = @_;
	my $end = time + ($timeout // 60);
	until ($condition->())
	{
		die "waited too long for $what\n" if time > $end;
		sleep 0.05;
	}
	return 1;
}

# --- the programs under test --------------------------------------------------------

# The file of a built program, somewhere the test's user may execute it.
sub program
{
	my ($name) = @_;
	my $build = $ENV{BUILDDIR} // die "BUILDDIR is not set\n";
	my $bin = path('bin');
	if (!-d $bin)
	{
		make_dir($bin);
		make_dir("$bin/libexec");
		for my $file (glob("$build/seawall*"), glob("$build/regress/lib/faultproxy"), glob("$build/libexec/seawall*"))
		{
			next unless -f $file && -x $file;
			my $copy = "$bin/" . ($file =~ m{/libexec/[^/]+$} ? 'libexec/' : '') . basename($file);
			File::Copy::copy($file, $copy) or die "$file: $!";
			chmod 0755, $copy;
			as_user_owner($copy);
		}
	}
	die "$name was not built in $build\n" unless -x "$bin/$name";
	return "$bin/$name";
}

sub build_has
{
	my ($name) = @_;
	return defined eval { program($name) };
}

# Both take arguments and, last, options as run; SEAWALL_CONFIG by `config`.
sub run_program
{
	my $name = shift;
	my $option = ref $_[-1] eq 'HASH' ? pop @_ : {};
	my %env = %{ $option->{env} // {} };
	$env{SEAWALL_CONFIG} //= $option->{config} if defined $option->{config};
	return run(program($name), @_, { %$option, env => \%env });
}
sub seawall { return run_program('seawall', @_) }
sub push_wal { return run_program('seawall-push', @_) }
sub fetch_wal { return run_program('seawall-fetch', @_) }

# The promise about messages: every line says who speaks, and exactly one is the error.
sub is_one_line
{
	my ($text, $name) = @_;
	my @lines = split /\n/, $text;
	my $errors = grep { /^seawall\S*: error: / } @lines;
	my @strange = grep { !/^seawall\S*: / } @lines;
	ok($errors == 1 && !@strange, $name) or diag $text;
	return;
}

# --- configuration ------------------------------------------------------------------

# write_config(FILE, seawall => {}, cluster => {}, repos => [REPO...]); the file's name.
sub write_config
{
	my ($file, %part) = @_;
	my $text = '';
	my $section = sub {
		my ($title, $values) = @_;
		$text .= "[$title]\n";
		$text .= "$_ = $values->{$_}\n" for sort keys %$values;
	};
	$section->('seawall', $part{seawall}) if $part{seawall};
	$section->('cluster main', $part{cluster} // {});
	my $n = 0;
	for my $repo (@{ $part{repos} })
	{
		$section->('repo ' . ($n == 0 ? 'main' : "r$n"), $repo->settings);
		$n++;
	}
	spew($file, $text);
	chmod 0600, $file or die "chmod $file: $!";
	return $file;
}

# --- PostgreSQL versions --------------------------------------------------------------

sub versions
{
	return split /[ ,]+/, $ENV{SEAWALL_TEST_VERSIONS} if $ENV{SEAWALL_TEST_VERSIONS};
	return long_tests() ? (14, 15, 16, 17, 18) : (15, 17, 18);
}

my %server_bin;
sub server_bin
{
	my ($version) = @_;
	return $server_bin{$version} //= do {
		my $dir = `$library/servers.sh path $version`;
		die "no PostgreSQL $version\n" if $? != 0;
		chomp $dir;
		$dir;
	};
}

# psql, pgbench, pg_amcheck, pg_waldump, pg_checksums: Debian's.
sub pg_client { my ($name) = @_; return "/usr/lib/postgresql/15/bin/$name" }

# --- the end --------------------------------------------------------------------------

sub stop_everything
{
	for my $child (@children)
	{
		kill 'KILL', -$child->{pid}, $child->{pid};
		waitpid $child->{pid}, 0;
	}
	@children = ();
	eval { $_->kill9 } for @clusters;
	eval { $_->stop } for @gateways;
	system('umount', '-l', $_) for @mounts;
	return;
}

END
{
	my $status = $?;
	if (defined $directory && $$ == $owner)
	{
		local $SIG{INT} = 'IGNORE';
		local $SIG{TERM} = 'IGNORE';
		stop_everything();
		my $failed = $status != 0 || !Test::More->builder->is_passing;
		if ($failed || $ENV{SEAWALL_TEST_KEEP}) { diag "kept: $directory" }
		else { remove_tree($directory, { safe => 0, error => \my $ignored }) }
	}
	$? = $status;
}

# --- a server, its repository and its configuration, ready to archive -----------------

# new_site(NAME, kind => 'file' or 's3', gateway => G, proxy => P, settings => {of the repo},
#     cluster => {options}, and what Cluster->new takes).
# Returns {pg (running, archiving), repo, config, direct (a configuration without the proxy)}.
sub new_site
{
	my ($name, %o) = @_;
	my %cluster_options = map { $_ => $o{$_} } grep { exists $o{$_} } qw(version segment_mb wal_dir conf initdb checksums);
	my $pg = SeawallTest::Cluster->new(name => "p$name", %cluster_options);
	my $repo = SeawallTest::Repo->of_kind($o{kind} // 's3', "site-$name", $o{gateway});
	my $options = {
		pgdata => $pg->pgdata, 'pg-host' => $pg->sockets, 'pg-port' => 5432, 'pg-user' => 'postgres',
		'archive-timeout' => '60s', %{ $o{cluster} // {} },
	};
	my $direct = write_config(path("$name-direct.conf"), seawall => { workers => 2 }, cluster => $options, repos => [$repo]);
	my $faulty = SeawallTest::Repo->new(%$repo, proxy => $o{proxy}, settings => $o{settings});
	my $config = write_config(path("$name.conf"), seawall => { workers => 2 }, cluster => $options, repos => [$faulty]);
	$pg->archive_to($direct);
	$pg->start;
	my $r = seawall('init', { config => $direct });
	die 'init: ' . describe($r) unless defined $r->{status} && $r->{status} == 0;
	return { pg => $pg, repo => $repo, config => $config, direct => $direct };
}

# ======================================================================================
package SeawallTest::Cluster;

use strict;
use warnings;
use Time::HiRes qw(time sleep);

# new(version => 15, name => 'a', segment_mb => 16, checksums => 1, initdb => [...], conf => "...",
#     wal_dir => DIR): a new database cluster, not started.
# from => DIR instead: adopt a data directory that is there (a restored one).
sub new
{
	my ($class, %o) = @_;
	our $serial;
	my $self = bless {
		version => $o{version} // 15,
		name => $o{name} // 'pg' . ++$serial,
		port => 5432,
	}, $class;
	$self->{bin} = SeawallTest::server_bin($self->{version});
	$self->{sockets} = SeawallTest::make_dir(SeawallTest::path("s$self->{name}"));
	chmod 0700, $self->{sockets};
	$self->{log} = SeawallTest::path("$self->{name}.log");
	$self->{pgdata} = $o{from} // SeawallTest::path($self->{name});
	push @clusters, $self;
	$self->initdb(%o) unless $o{from};
	$self->append_conf($o{conf}) if $o{conf};
	return $self;
}

sub initdb
{
	my ($self, %o) = @_;
	my @option = ('--no-sync', '--auth=trust', '--encoding=UTF8', '--locale=C', '--username=postgres',
		'-D', $self->{pgdata}, '--wal-segsize=' . ($o{segment_mb} // 16), @{ $o{initdb} // [] });
	push @option, '--data-checksums' if $o{checksums} // 1;
	push @option, '--no-data-checksums' if defined $o{checksums} && !$o{checksums} && $self->{version} >= 18;
	push @option, "--waldir=$o{wal_dir}" if $o{wal_dir};
	SeawallTest::run_ok("$self->{bin}/initdb", @option);
	# fsync off: no test here pulls the plug of the machine, only of processes.
	$self->append_conf(<<"CONF");
port = $self->{port}
listen_addresses = ''
unix_socket_directories = '$self->{sockets}'
fsync = off
wal_level = replica
max_wal_senders = 4
max_connections = 30
shared_buffers = 32MB
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
timezone = 'UTC'
CONF
}

# A restored directory: sockets of its own.
sub own_settings
{
	my ($self, $more) = @_;
	$self->append_conf("unix_socket_directories = '$self->{sockets}'\nport = $self->{port}\n" . ($more // ''));
}

sub pgdata { return $_[0]{pgdata} }
sub sockets { return $_[0]{sockets} }
sub version { return $_[0]{version} }
sub conninfo { my ($self, $db) = @_; return "host=$self->{sockets} port=$self->{port} user=postgres dbname=" . ($db // 'postgres') }
sub log_text { return -e $_[0]{log} ? SeawallTest::slurp($_[0]{log}) : '' }

sub append_conf
{
	my ($self, $text) = @_;
	return SeawallTest::append("$self->{pgdata}/postgresql.conf", "$text\n");
}

# archive_mode on, by the built seawall-push.
sub archive_to
{
	my ($self, $config) = @_;
	my $push = SeawallTest::program('seawall-push');
	return $self->append_conf("archive_mode = on\narchive_command = '$push --config $config %p'\n");
}

sub restore_command
{
	my ($self, $config) = @_;
	return SeawallTest::program('seawall-fetch') . " --config $config %f %p";
}

# Start; option env, fail_ok: returns false instead of dying when it does not come up.
sub start
{
	my ($self, %o) = @_;
	my $r = SeawallTest::run("$self->{bin}/pg_ctl", 'start', '-w', '-s', '-t', $o{timeout} // 90,
		'-D', $self->{pgdata}, '-l', $self->{log}, { env => $o{env}, timeout => 120 });
	return 1 if defined $r->{status} && $r->{status} == 0;
	return 0 if $o{fail_ok};
	die 'the server did not start: ' . SeawallTest::describe($r) . substr($self->log_text, -3000);
}

sub stop
{
	my ($self, $mode) = @_;
	SeawallTest::run_ok("$self->{bin}/pg_ctl", 'stop', '-w', '-s', '-t', 90, '-m', $mode // 'fast',
		'-D', $self->{pgdata}, { timeout => 120 });
}

sub restart { my ($self) = @_; $self->stop; $self->start }
sub reload { my ($self) = @_; SeawallTest::run_ok("$self->{bin}/pg_ctl", 'reload', '-s', '-D', $self->{pgdata}) }
sub promote
{
	my ($self) = @_;
	SeawallTest::run_ok("$self->{bin}/pg_ctl", 'promote', '-w', '-s', '-t', 90, '-D', $self->{pgdata});
}

# The postmaster, if it runs in our data directory (its working directory proves it).
sub pid
{
	my ($self) = @_;
	open my $fh, '<', "$self->{pgdata}/postmaster.pid" or return undef;
	my $pid = <$fh> // '';
	chomp $pid;
	return undef unless $pid =~ /^\d+$/;
	my $cwd = readlink "/proc/$pid/cwd" or return undef;
	return $cwd eq Cwd::abs_path($self->{pgdata}) ? $pid : undef;
}

# kill -9 the postmaster and wait until all of its processes are gone.
sub kill9
{
	my ($self) = @_;
	my $pid = $self->pid or return;
	my @all = ($pid, split ' ', `ps -o pid= --ppid $pid`);
	kill 'KILL', @all;
	SeawallTest::wait_until('the server to die', sub { !grep { kill 0, $_ } @all }, 20);
	unlink "$self->{pgdata}/postmaster.pid";
	return;
}

# psql, as a table of text without headings; dies if it fails.
sub sql
{
	my ($self, $text, $db) = @_;
	my $out = SeawallTest::run_ok($self->psql_command($db), { stdin => $text, timeout => 300 });
	chomp $out;
	return $out;
}

sub sql_result
{
	my ($self, $text, $db) = @_;
	return SeawallTest::run($self->psql_command($db), { stdin => $text });
}

sub psql_command
{
	my ($self, $db) = @_;
	return (SeawallTest::pg_client('psql'), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $self->conninfo($db));
}

sub wait_for_sql
{
	my ($self, $query, $want, $timeout) = @_;
	my $got = '';
	eval {
		SeawallTest::wait_until($query, sub {
			my $r = $self->sql_result($query);
			chomp($got = $r->{out});
			return $got eq $want;
		}, $timeout);
	} or die "$@ got '$got', not '$want'\n" . substr($self->log_text, -2000);
	return;
}

sub pgbench
{
	my ($self, @option) = @_;
	return SeawallTest::run_ok($self->pgbench_command(@option), { timeout => 300 });
}

sub pgbench_command
{
	my ($self, @option) = @_;
	return (SeawallTest::pg_client('pgbench'), '-h', $self->{sockets}, '-p', $self->{port}, '-U', 'postgres', @option, 'postgres');
}

# Finish the segment that is written now, and wait until it is archived; its name.
sub switch_and_wait
{
	my ($self) = @_;
	my $file = $self->sql("SELECT pg_walfile_name(pg_switch_wal())");
	$self->wait_archived($file);
	return $file;
}

sub wait_archived
{
	my ($self, $file) = @_;
	$self->wait_for_sql("SELECT coalesce(last_archived_wal >= '$file', false) FROM pg_stat_archiver", 't', 90);
	return;
}

# amcheck's findings about every table and index of every database; '' is sound.
sub amcheck
{
	my ($self) = @_;
	my $r = SeawallTest::run(SeawallTest::pg_client('pg_amcheck'), '--all', '--install-missing',
		'--heapallindexed', '-h', $self->{sockets}, '-p', $self->{port}, '-U', 'postgres', { timeout => 300 });
	return defined $r->{status} && $r->{status} == 0 && $r->{out} eq '' ? '' : SeawallTest::describe($r);
}

# ======================================================================================
package SeawallTest::Gateway;

use strict;
use warnings;
use Digest::SHA qw(sha256_hex hmac_sha256 hmac_sha256_hex);
use HTTP::Tiny;

# A Ceph gateway of its own; store => 'bluestore' survives stop and kill.
sub new
{
	my ($class, %o) = @_;
	our $serial;
	my $self = bless { dir => SeawallTest::path('rgw' . ++$serial), store => $o{store} // 'memstore' }, $class;
	SeawallTest::make_dir($self->{dir});
	push @gateways, $self;
	$self->start;
	return $self;
}

sub script
{
	my ($self, $verb) = @_;
	our $copy;
	# The tree itself may not be readable for the test's user.
	$copy //= SeawallTest::spew(SeawallTest::path('rgw.sh'), SeawallTest::slurp("$library/rgw.sh"));
	return SeawallTest::run('/bin/bash', $copy, $verb, $self->{dir},
		{ env => { RGW_STORE => $self->{store} }, timeout => 120 });
}

sub start
{
	my ($self) = @_;
	my $r = $self->script('start');
	die 'the S3 gateway did not start: ' . SeawallTest::describe($r) unless defined $r->{status} && $r->{status} == 0;
	for (split /\n/, SeawallTest::slurp("$self->{dir}/env"))
	{
		$self->{env}{$1} = $2 if /^(\w+)=(.*)$/;
	}
}

sub stop { my ($self) = @_; return $self->script('stop') }
sub env { my ($self, $name) = @_; return $self->{env}{$name} // die "the gateway has no $name" }
sub port { return $_[0]->env('S3_HTTP_PORT') }

# One signed request: (status, body).  query: already in canonical order and encoding.
sub request
{
	my ($self, $method, $target, $query, $body) = @_;
	$body //= '';
	$query //= '';
	my @t = gmtime;
	my $date = POSIX::strftime('%Y%m%d', @t);
	my $stamp = POSIX::strftime('%Y%m%dT%H%M%SZ', @t);
	my $host = '127.0.0.1:' . $self->port;
	my $hash = sha256_hex($body);
	my $signed = 'host;x-amz-content-sha256;x-amz-date';
	my $canonical = join "\n", $method, $target, $query, "host:$host", "x-amz-content-sha256:$hash",
		"x-amz-date:$stamp", '', $signed, $hash;
	my $region = $self->env('S3_REGION');
	my $scope = "$date/$region/s3/aws4_request";
	my $key = 'AWS4' . $self->env('S3_SECRET_KEY');
	$key = hmac_sha256($_, $key) for $date, $region, 's3', 'aws4_request';
	my $signature = hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256', $stamp, $scope, sha256_hex($canonical)), $key);
	my $r = HTTP::Tiny->new(timeout => 60)->request($method,
		"http://$host$target" . ($query ne '' ? "?$query" : ''),
		{
			content => $body,
			headers => {
				'x-amz-content-sha256' => $hash,
				'x-amz-date' => $stamp,
				authorization => 'AWS4-HMAC-SHA256 Credential=' . $self->env('S3_ACCESS_KEY')
					. "/$scope,SignedHeaders=$signed,Signature=$signature",
			},
		});
	return ($r->{status}, $r->{content});
}

sub request_ok
{
	my ($self, @request) = @_;
	my ($status, $body) = $self->request(@request);
	die "S3 $request[0] $request[1]: $status $body\n" unless $status =~ /^2/;
	return $body;
}

# Make a bucket; versioned => 1.
sub bucket
{
	my ($self, $name, %o) = @_;
	$self->request_ok('PUT', "/$name");
	$self->request_ok('PUT', "/$name", 'versioning=', '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
		. '<Status>Enabled</Status></VersioningConfiguration>') if $o{versioned};
	return $name;
}

# ======================================================================================
package SeawallTest::Proxy;

use strict;
use warnings;
use IO::Socket::INET;

# A faultproxy before a gateway; see faultproxy.c for what it can be told.
sub new
{
	my ($class, $gateway) = @_;
	our $serial;
	my $ready = SeawallTest::path('proxy' . ++$serial);
	my $program = SeawallTest::program('faultproxy');
	pipe my $read, my $write or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		open STDIN, '<&', $read or POSIX::_exit(127);
		{ no warnings 'exec'; exec $program, $gateway->port, $ready; }
		POSIX::_exit(127);
	}
	close $read;
	SeawallTest::wait_until('the proxy', sub { -e $ready }, 20);
	my ($port, $control) = split ' ', SeawallTest::slurp($ready);
	return bless { pid => $pid, life => $write, port => $port, control => $control }, $class;
}

sub port { return $_[0]{port} }

# Order; the answer's lines.
sub tell
{
	my ($self, $line) = @_;
	$self->{socket} //= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{control})
		// die "proxy: $!";
	my $socket = $self->{socket};
	print $socket "$line\n";
	$socket->flush;
	my @lines;
	while (defined(my $answer = <$socket>))
	{
		chomp $answer;
		die "faultproxy: '$line': $answer\n" if $answer =~ /^error/;
		return @lines if $answer eq 'ok';
		push @lines, $answer;
		return @lines if $answer =~ /^\d+$/;
	}
	die "faultproxy is gone\n";
}

sub rule { my ($self, $rule) = @_; return $self->tell("rule $rule") }
sub clear { my ($self) = @_; $self->tell('clear'); return $self->tell('forget') }
sub count { my ($self, $filter) = @_; return ($self->tell('count ' . ($filter // '')))[0] }
sub faulted { my ($self, $filter) = @_; return ($self->tell('faulted ' . ($filter // '')))[0] }
sub requests { my ($self) = @_; return $self->tell('requests') }

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	close delete $self->{life} if $self->{life};
	waitpid $self->{pid}, 0 if $self->{pid};
}

# ======================================================================================
package SeawallTest::Repo;

use strict;
use warnings;

# A repository that a test can look into: file => DIR, or gateway => G, bucket => NAME and
#   tls => 1 (HTTPS with the CA's file), proxy => P (its HTTP port instead of the gateway's),
#   prefix => NAME, settings => {more options}.
sub new
{
	my ($class, %o) = @_;
	$o{prefix} //= 'seawall';
	my $self = bless {%o}, $class;
	SeawallTest::make_dir($o{file}) if $o{file};
	return $self;
}

# One of each kind, for tests that run on both: (KIND => REPO)
sub of_kind
{
	my ($class, $kind, $name, $gateway, %o) = @_;
	return $class->new(file => SeawallTest::path("repo-$name"), %o) if $kind eq 'file';
	$gateway->bucket($name, versioned => $o{versioned});
	return $class->new(gateway => $gateway, bucket => $name, tls => $kind eq 's3', %o);
}

# Options of its [repo] section.
sub settings
{
	my ($self) = @_;
	return { 'repo-url' => "file://$self->{file}", %{ $self->{settings} // {} } } if $self->{file};
	my $g = $self->{gateway};
	my $endpoint = $self->{proxy} ? 'http://127.0.0.1:' . $self->{proxy}->port
		: $self->{tls} ? $g->env('S3_ENDPOINT_TLS') : $g->env('S3_ENDPOINT');
	return {
		'repo-url' => "s3://$self->{bucket}/$self->{prefix}",
		's3-endpoint' => $endpoint,
		's3-region' => $g->env('S3_REGION'),
		's3-addressing' => 'path',
		's3-access-key' => $g->env('S3_ACCESS_KEY'),
		's3-secret-key' => $g->env('S3_SECRET_KEY'),
		$self->{tls} && !$self->{proxy} ? ('s3-ca-file' => $g->env('S3_CA_FILE')) : (),
		%{ $self->{settings} // {} },
	};
}

# Names of all objects, sorted.
sub names
{
	my ($self) = @_;
	if ($self->{file})
	{
		my @found;
		require File::Find;
		File::Find::find({ no_chdir => 1, wanted => sub {
			push @found, substr $_, length("$self->{file}/") if -f $_;
		} }, $self->{file});
		@found = sort @found;
		return @found;
	}
	my ($token, @found) = ('');
	do
	{
		my $query = ($token ne '' ? "continuation-token=$token&" : '') . "list-type=2&prefix=$self->{prefix}%2F";
		my $xml = $self->{gateway}->request_ok('GET', "/$self->{bucket}", $query);
		push @found, map { substr $_, length("$self->{prefix}/") } $xml =~ m{<Key>([^<]*)</Key>}g;
		$token = $xml =~ m{<NextContinuationToken>([^<]*)<} ? $1 : '';
		$token =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
	} while ($token ne '');
	@found = sort @found;
	return @found;
}

sub target { my ($self, $name) = @_; return "/$self->{bucket}/$self->{prefix}/$name" }

sub get
{
	my ($self, $name) = @_;
	return SeawallTest::slurp("$self->{file}/$name") if $self->{file};
	return $self->{gateway}->request_ok('GET', $self->target($name));
}

# Replace behind Seawall's back: what a rotten disk or a foreign hand does.
sub replace
{
	my ($self, $name, $bytes) = @_;
	return $self->{gateway}->request_ok('PUT', $self->target($name), '', $bytes) if !$self->{file};
	unlink "$self->{file}/$name";
	return SeawallTest::spew("$self->{file}/$name", $bytes);
}

sub remove
{
	my ($self, $name) = @_;
	return $self->{gateway}->request_ok('DELETE', $self->target($name)) if !$self->{file};
	unlink "$self->{file}/$name" or die "$name: $!";
	return;
}

# Change one bit of byte `at` (negative: from the end).
sub flip
{
	my ($self, $name, $at) = @_;
	my $bytes = $self->get($name);
	substr($bytes, $at, 1) ^= "\x01";
	return $self->replace($name, $bytes);
}

1;
