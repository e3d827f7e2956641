# archive_library = 'seawall_archive': the archiver pushes itself, and nothing that happens to it or to the store ends it.
use strict;
use warnings;
use File::Copy ();
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $built = "$ENV{BUILDDIR}/contrib/seawall_archive/seawall_archive.so";
plan skip_all => 'the module was not built (make module)' unless -e $built;
plan skip_all => 'a sanitizer must be loaded before the server' if `/usr/bin/ldd $built` =~ /libasan/;
my $library = path('seawall_archive');
File::Copy::copy($built, "$library.so") or die "$built: $!";
chmod 0755, "$library.so";

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $site = SeawallTest::new_site('module', gateway => $s3, proxy => $proxy, segment_mb => 1, conf =>
	"wal_keep_size = '2GB'\nmax_wal_size = '1GB'\nautovacuum = off\nlog_checkpoints = off\ncheckpoint_timeout = '1h'\n");
my ($pg, $repo) = @$site{qw(pg repo)};
my $data = $pg->pgdata;
my $system_id = run_ok('/usr/lib/postgresql/15/bin/pg_controldata', $data) =~ /system identifier:\s+(\d+)/ ? $1 : die;
my $config = path('seawall.conf');
my ($pid, $signals);

# --- tools ---------------------------------------------------------------------------------------

sub set_guc
{
	my ($name, $value, $how) = @_;
	# a session knows the module's settings when it has loaded it
	$pg->sql("LOAD '$library'; ALTER SYSTEM SET $name = '$value'");
	$pg->reload unless ($how // '') eq 'later';
	return;
}

# What is archived to, and how: a new file, which nobody reads before a reload.
sub configure
{
	my ($store, %o) = @_;
	my $settings = { 'store-deadline' => '2s', %{ $o{repo} // {} } };
	my $to = SeawallTest::Repo->new(%$store, proxy => $proxy, settings => $settings);
	return write_config($config, seawall => $o{seawall} // {}, cluster => {}, repos => [$to]);
}

sub archiver { return $pg->sql("SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE backend_type = 'archiver'") }
sub stat_of { my ($column) = @_; return $pg->sql("SELECT $column FROM pg_stat_archiver") }
sub ready { return map { m{([^/]+)\.ready$} } sort glob("$data/pg_wal/archive_status/*.ready") }

sub switch
{
	my ($count) = @_;
	return map { $pg->sql("INSERT INTO t SELECT g FROM generate_series(1, 500) g; SELECT pg_walfile_name(pg_switch_wal())") } 1 .. $count;
}

my $seen = 0;
sub new_log
{
	my $text = substr $pg->log_text, $seen;
	$seen += length $text;
	return $text;
}
sub ours { return grep { /seawall_archive: / } split /\n/, $_[0] }

sub wait_log
{
	my ($pattern, $name) = @_;
	my $ok = eval { wait_until($name, sub { substr($pg->log_text, $seen) =~ $pattern }, 30) };
	ok($ok, $name) or diag substr $pg->log_text, $seen;
	return;
}

# (A postmaster without visitors looks once a minute whether an archiver is to be started.)
sub wait_none_ready
{
	my ($name, $timeout) = @_;
	my $ok = eval { wait_until($name, sub { $pg->sql_result('SELECT 1'); !ready() }, $timeout // 60) };
	ok($ok, $name) or diag join "\n", ready(), substr $pg->log_text, -2000;
	return;
}

sub same_archiver
{
	my ($name) = @_;
	is(archiver(), $pid, $name // '... and the archiver is the same process');
	return;
}

# Everything that the server believes to be archived is, byte for byte, in one of the repositories.
my @repos = ($repo);
sub all_is_right
{
	my ($name) = @_;
	my ($count, @wrong) = (0);
	my %where;
	for my $r (@repos) { $where{$_} = $r for $r->names }
	for my $done (map { m{([0-9A-F]{24})\.done$} } sort glob "$data/pg_wal/archive_status/*.done")
	{
		my $object = object($done);
		$count++;
		spew(path('object.zst'), $where{$object} ? $where{$object}->get($object) : '');
		push @wrong, $done if !$where{$object} || run_ok('/usr/bin/zstd', '-dcq', path('object.zst')) ne slurp("$data/pg_wal/$done");
	}
	is("@wrong", '', "$name ($count files)");
	return;
}
sub object { my ($file) = @_; return "main/$system_id/wal/" . substr($file, 0, 8) . "/$file.zst" }

# What the archiver's first thread blocks, ignores and catches.
# (32 and 33 are glibc's own, of any process with threads.)
sub signals { return join ' ', map { hex(substr $_, -8) & 0x7fffffff } slurp("/proc/$pid/status") =~ /^Sig(?:Blk|Ign|Cgt):\s+(\w+)$/mg }

sub seconds_of { my ($do) = @_; my $start = time; $do->(); return time - $start }

# --- tests -----------------------------------------------------------------------------------------

sub test_symbols
{
	my @names = map { (split)[2] } split /\n/, run_ok('/usr/bin/nm', '-D', '--defined-only', "$library.so");
	is("@{[ sort @names ]}", 'Pg_magic_func _PG_archive_module_init _PG_init', 'the server sees three symbols');
	my %server = map { $_ => 1 } map { (split)[2] } split /\n/, run_ok('/usr/bin/nm', '-D', '--defined-only', "$pg->{bin}/postgres");
	# PostgreSQL has a json_object() too, and in its process the name is its
	my @theirs = grep { $server{$_} } map { s/\@.*//r } grep { /^(json|curl|ZSTD|XXH|XML|EVP|RAND|OPENSSL|HMAC|SHA)/ }
		map { (split)[-1] } split /\n/, run_ok('/usr/bin/nm', '-D', '--undefined-only', "$library.so");
	is("@theirs", '', '... and none of a library that it calls is one of the server\'s');
	return;
}

# From archive_command to the module, first without saying to where.
sub test_configured
{
	$pg->sql('CREATE TABLE t (g int)');
	$pg->switch_and_wait;
	archive_by($library, '');
	like(slurp("/proc/$pid/maps"), qr/seawall_archive/, 'the archiver loads the module');
	$signals = signals();
	new_log();
	my @files = switch(1);
	SKIP:
	{
		skip 'there is a /etc/seawall/seawall.conf here', 2 if -e '/etc/seawall/seawall.conf';
		wait_log(qr/seawall_archive\.config is not set, and \S+seawall\.conf names no repository; set seawall_archive\.config/,
			'without a configuration it says what to set');
		is(stat_of('failed_count'), 0, '... and archives nothing');
	}
	same_archiver();
	like($pg->sql_result("LOAD '$library'; ALTER SYSTEM SET seawall_archive.config = 'relative.conf'")->{err},
		qr/invalid value for parameter "seawall_archive.config".*\n.*must be an absolute path/, 'a relative path is refused');
	configure($repo);
	set_guc('seawall_archive.config', $config);
	wait_none_ready('with one it archives what waited');
	same_archiver();
	all_is_right('... right');
	my $r = seawall('check', { config => $site->{direct} });
	like($r->{out}, qr/^ok\s+archive_library:\s+\Q$library\E/m, 'seawall check knows it') or diag SeawallTest::describe($r);
	return;
}

sub test_load
{
	my $count = sub { scalar(() = glob "/proc/$pid/$_[0]/*") };
	$pg->pgbench('-i', '-s', '2', '-q');
	$proxy->clear;
	my $before = stat_of('archived_count');
	my ($most_children, $base) = (0, $count->('fd'));
	my $bench = spawn($pg->pgbench_command('-c', '4', '-T', '8', '-n'));
	while (SeawallTest::alive($bench))
	{
		$most_children++ if `ps -o pid= --ppid $pid` =~ /\d/;
		sleep 0.1;
	}
	is(SeawallTest::reap($bench)->{status}, 0, 'pgbench');
	$pg->sql('SELECT pg_switch_wal()');
	wait_none_ready('under load everything is archived');
	my $archived = stat_of('archived_count') - $before;
	cmp_ok($archived, '>', 4, "... $archived segments");
	is(stat_of('failed_count'), 0, '... without a failure');
	is($most_children, 0, '... or another process');
	cmp_ok($proxy->count('method=GET key=cluster.json'), '<=', 3, '... and the repository is not opened anew each time');
	same_archiver();
	all_is_right('... right');
	is($count->('task'), 1, '... between calls it has one thread');
	cmp_ok($count->('fd'), '<=', $base + 6, '... and few descriptors');
	is(signals(), $signals, '... and its signals are as they were');
	return;
}

sub test_outage
{
	$proxy->rule('status 503');
	new_log();
	my @files = switch(5);
	wait_until('failures', sub { stat_of('failed_count') >= 3 }, 60);
	my @lines = ours(my $log = new_log());
	is(join(' ', grep { my $file = $_; !grep { $_ eq $file } ready() } @files), '', 'in an outage the WAL waits');
	cmp_ok(scalar @lines, '<=', 6, '... the log is not filled') or diag $log;
	cmp_ok(scalar(grep { /WARNING:  seawall_archive: archiving \S+: .*HTTP 503/ } @lines), '>=', 1, '... it has the reason');
	is(scalar(grep { !/ (LOG|WARNING):  / } @lines), 0, '... one line each');
	same_archiver();
	$proxy->clear;
	$pg->sql('SELECT pg_switch_wal()');
	wait_none_ready('and is archived when the store is back', 90);
	same_archiver();
	all_is_right('... right');
	return;
}

# The store takes requests and never answers.
sub hang
{
	$proxy->clear;
	configure($repo, repo => { 'store-deadline' => '10min', 'store-stall-timeout' => '10min' });
	$pg->reload;
	wait_none_ready('before it hangs');
	$proxy->rule('method=PUT hang');
	switch(2);
	wait_until('a request that hangs', sub { $proxy->count('method=PUT') > 0 }, 30);
	return;
}

sub test_hang
{
	set_guc('seawall_archive.shutdown_wait', '1s');
	hang();
	cmp_ok(seconds_of(sub { $pg->sql('CREATE DATABASE gone'); $pg->sql('DROP DATABASE gone') }), '<', 10,
		'while the archiver waits, a database can be dropped');
	same_archiver();
	my $before = stat_of('failed_count');
	new_log();
	my $seconds = seconds_of(sub { $pg->reload; wait_until('the reload', sub { stat_of('failed_count') > $before }, 60) });
	cmp_ok($seconds, '<', 8, 'a reload does not wait for it');
	wait_log(qr/LOG:  seawall_archive: archiving \S+ was given up, because the configuration is read again/, '... and says so');
	same_archiver();
	for my $mode (qw(fast immediate))
	{
		new_log();
		cmp_ok(seconds_of(sub { $pg->stop($mode) }), '<', 12, "pg_ctl stop -m $mode does not wait for it");
		like(new_log(), qr/given up, because the server shuts down \(seawall_archive.shutdown_wait\)/, '... and it says so') if $mode eq 'fast';
		ok(scalar ready(), '... the WAL waits');
		$proxy->clear;
		$pg->start;
		$pid = archiver();
		wait_none_ready('... and is archived after the start');
		all_is_right('... right');
		hang() if $mode eq 'fast';
	}
	configure($repo);
	$pg->reload;
	switch(3);
	$pg->stop('fast');
	is(scalar ready(), 0, 'while the store is well, a server that stops leaves nothing behind');
	$pg->start;
	$pid = archiver();
	return;
}

sub test_reload
{
	my $second = SeawallTest::Repo->of_kind('s3', 'second', $s3);
	my $to_second = write_config(path('second-init.conf'), cluster => { pgdata => $data }, repos => [$second]);
	is(seawall('init', { config => $to_second })->{status}, 0, 'a second repository');
	switch(1);
	wait_none_ready('before the reload');
	configure($second, seawall => { 'log-level' => 'warning' });
	my ($first_file) = switch(1);
	wait_none_ready('a changed file');
	$pg->reload;
	sleep 0.5;
	my ($file) = switch(1);
	wait_none_ready('... counts from the reload on');
	my %first = map { $_ => 1 } $repo->names;
	my %second = map { $_ => 1 } $second->names;
	ok($first{ object($first_file) } && !$second{ object($first_file) }, '... before it, to the first repository');
	ok($second{ object($file) } && !$first{ object($file) }, '... then to the second');
	push @repos, $second;
	all_is_right('... right');
	same_archiver();

	append($config, "no-such-option = 1\n");
	new_log();
	my $failed = stat_of('failed_count');
	$pg->reload;
	sleep 0.5;
	switch(1);
	wait_log(qr/WARNING:  seawall_archive: \S+seawall\.conf:\d+: unknown option "?no-such-option/, 'a broken file is named');
	wait_until('failures', sub { stat_of('failed_count') > $failed + 1 }, 60);
	is(scalar(ours(substr $pg->log_text, $seen)), 1, '... once');
	ok(scalar ready(), '... and nothing is archived');
	same_archiver();
	configure($repo);
	$pg->reload;
	$pg->sql('SELECT pg_switch_wal()');
	wait_none_ready('mended, it is read', 90);
	same_archiver();
	set_guc('seawall_archive.config', path('nowhere.conf'));
	new_log();
	switch(1);
	wait_log(qr/WARNING:  seawall_archive: .*nowhere\.conf: No such file/, 'a file that is not there is named');
	same_archiver();
	set_guc('seawall_archive.config', $config);
	switch(1);
	wait_none_ready('... and another is read', 90);
	return;
}

# The postmaster starts no second archiver within ten seconds: a restart is quicker.
sub archive_by
{
	my ($module, $command) = @_;
	set_guc('archive_library', $module, 'later');
	set_guc('archive_command', $command, 'later');
	$pg->restart;
	$pid = archiver();
	return;
}

# archive_command and the module share the ledger and its lock.
sub test_switching
{
	my $push = program('seawall-push');
	archive_by('', '/bin/false');
	my @files = switch(30);
	$proxy->clear;
	my $asked = (ready())[0];
	my $r = push_wal("pg_wal/$asked", { config => $config, cwd => $data });
	is($r->{status}, 0, 'seawall-push archives ahead') or diag SeawallTest::describe($r);
	my $put = $proxy->count('method=PUT');
	cmp_ok($put, '>=', 20, "... $put files");
	rename "$data/pg_wal/archive_status/$asked.ready", "$data/pg_wal/archive_status/$asked.done";
	archive_by($library, '');
	wait_none_ready('the module takes over');
	cmp_ok($proxy->count('method=PUT') - $put, '<=', 4, '... from the ledger');
	all_is_right('... right');
	archive_by('', "$push --config $config %p");
	switch(5);
	wait_none_ready('and back to archive_command');
	archive_by($library, '/bin/false');
	switch(5);
	wait_none_ready('where both are set, 15 takes the module');
	same_archiver();
	set_guc('archive_command', '');
	all_is_right('... right');
	return;
}

sub test_kill
{
	my $killed = 0;
	$proxy->rule('method=PUT delay 30');
	for my $round (1 .. long_tests() ? 10 : 2)
	{
		# a child that dies of SIGKILL makes the postmaster start all anew, and pgbench ends
		my $bench = spawn($pg->pgbench_command('-c', '4', '-T', '4', '-n'));
		switch(5);
		sleep rand 0.5;
		$killed += kill 'KILL', archiver_by_proc() // die 'no archiver';
		SeawallTest::reap($bench);
		wait_until('another archiver', sub { $pg->sql_result('SELECT 1'); archiver_by_proc() }, 60);
	}
	cmp_ok($killed, '>', 0, "the archiver is killed, $killed times");
	$proxy->clear;
	$pg->sql('SELECT pg_switch_wal()');
	wait_none_ready('... everything is archived', 90);
	$pid = archiver();
	all_is_right('... right');
	return;
}

sub archiver_by_proc
{
	my $server = $pg->pid or return undef;
	for (split /\n/, `ps -o pid=,args= --ppid $server`) { return $1 if /^\s*(\d+) .*archiver/ }
	return undef;
}

# Another server has taken the name.
sub test_conflict
{
	wait_none_ready('before the conflict');
	my $copy = path('copy');
	$pg->stop('fast');
	run_ok('/bin/cp', '-a', $data, $copy);
	my $other = SeawallTest::Cluster->new(name => 'other', from => $copy);
	$other->own_settings("archive_library = ''\narchive_command = '@{[ program('seawall-push') ]} --config $config %p'\n");
	unlink "$copy/postgresql.auto.conf";
	$other->start;
	$other->sql("INSERT INTO t SELECT g FROM generate_series(1, 900) g");
	$other->switch_and_wait;
	$other->stop;
	$pg->start;
	$pid = archiver();
	new_log();
	my ($file) = switch(1);
	wait_log(qr/WARNING:  seawall_archive: archiving pg_wal\/$file: .*different from LSN/, 'a name that is taken by other WAL is refused');
	wait_log(qr/archiving write-ahead log file "$file" failed too many times/, '... and again');
	is(scalar(grep { /WARNING/ } ours(substr $pg->log_text, $seen)), 1, '... and told once');
	same_archiver();
	is($pg->sql('SELECT count(*) > 0 FROM t'), 't', '... and the server works');
	return;
}

for my $test (qw(symbols configured load outage hang reload switching kill conflict))
{
	no strict 'refs';
	my $seconds = seconds_of(\&{"test_$test"});
	diag sprintf '%s: %.1f s', $test, $seconds if $ENV{SEAWALL_TEST_KEEP};
}
$pg->stop('fast');
done_testing();
