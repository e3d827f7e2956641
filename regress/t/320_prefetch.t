# Fetching ahead: recovery is served from the spool, which is never wrong, never too large and never left behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallRecovery;
use SeawallTest;
use Test::More;
use Cwd ();
use File::Copy ();
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEAWALL_TEST_SEED} // time ^ $$;
srand $seed;
note "seed $seed";

# --- the programs ---------------------------------------------------------------------------

{
	my $libraries = run_ok('/usr/bin/ldd', program('seawall-fetch'));
	like($libraries, qr/libc\.so/, 'seawall-fetch loads the C library');
	unlike($libraries, qr/lib(?:curl|ssl|crypto|pq|zstd|jansson|xxhash|expat)\.so/, '... and none of the others');
	my $alone = SeawallTest::make_dir(path('alone'));
	File::Copy::copy(program('seawall-fetch'), "$alone/seawall-fetch");
	chmod 0755, "$alone/seawall-fetch";
	my $r = run("$alone/seawall-fetch", '--repo-url=file:///nowhere', '00000002.history', 'pg_wal/RECOVERYHISTORY');
	is($r->{status}, 126, 'without its helper it stops recovery');
	like($r->{err}, qr/^seawall-fetch: error: its helper .*install all/, '... and says why');
}

# --- a primary with many segments -------------------------------------------------------------

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $site = new_site('ahead', gateway => $s3, proxy => $proxy, segment_mb => 1,
	conf => "wal_keep_size = '300MB'\nmax_wal_size = '64MB'\n",
	settings => { 'store-deadline' => '3s', 'store-stall-timeout' => '1s', 'store-connect-timeout' => '1s' });
my ($pg, $repo) = @$site{qw(pg repo)};
my $base = path('base');

$pg->sql('CREATE TABLE t (n bigserial, a int, b text)');
$pg->sql('ALTER TABLE t ALTER n SET DEFAULT nextval(\'t_n_seq\')');
fill($pg, 2);
backup_of($pg, $base);
fill($pg, 15);
$pg->sql("SELECT pg_create_restore_point('early')");
fill($pg, 55);
my $want = sum_of($pg);
$pg->sql('INSERT INTO t (a, b) VALUES (0, \'last\')');
my $want_last = sum_of($pg);
my $last_file = $pg->switch_and_wait;

# --- recoveries -------------------------------------------------------------------------------

# direct => 1: not through the proxy
sub recovery { my (%o) = @_; return new_recovery(base => $base, repo => $repo, proxy => $o{direct} ? undef : $proxy, %o) }

# The whole way, with a small budget, watched.
my %per_second;
for my $case ([ 'fetch ahead', {}, 8 ], [ 'a small budget', { 'fetch-spool-max' => '4MB' }, 4 ], [ 'one at a time', { 'fetch-ahead' => 0 }, 0 ])
{
	my ($what, $options, $segments) = @$case;
	my $server = recovery(cluster => $options);
	$proxy->clear;
	my $start = time;
	$server->start(timeout => 120);
	my ($most, $seen) = (0, 0);
	wait_until('recovery', sub {
		my $bytes = spool_bytes($server);
		$most = $bytes if $bytes > $most;
		$seen = 1 if background($server);
		return $server->sql('SELECT pg_is_in_recovery()') eq 'f';
	}, 120);
	is(sum_of($server), $want_last, "$what: all is recovered");
	is($seen, $segments ? 1 : 0, '... ' . ($segments ? 'with' : 'without') . ' a background process');
	cmp_ok($most, '<=', 4 << 20, "... the spool stays within its budget ($most)") if $options->{'fetch-spool-max'};
	is($most, 0, '... and no spool') unless $segments;
	left_behind($server, '... nothing is left behind');
	unlike($server->log_text, qr/seawall\.spool|WARNING|PANIC/, '... PostgreSQL does not mind the spool');
	my %got;
	$got{$_}++ for grep { m{/wal/0} } map { /^GET (\S+) 200/ ? $1 : () } $proxy->requests;
	is(join(' ', grep { $got{$_} > 1 && $_ !~ /$last_file|history/ } sort keys %got), '', '... no segment was fetched twice')
		if $what eq 'fetch ahead';
	$server->stop;
}

# --- a recovery held still, so that its spool can be looked at --------------------------------------

my @standby = (standby => 1, conf => "recovery_target_timeline = 'latest'\nwal_retrieve_retry_interval = '300ms'\n");

{
	$proxy->rule('method=GET key=/wal/ delay 250');
	my $server = recovery(@standby, cluster => { 'fetch-spool-max' => '6MB' });
	my $startup = hold($server, 5);
	my $process = background($server);
	cmp_ok(spool_bytes($server), '<=', 6 << 20, 'held still: the spool stays within its budget');
	my @held = map { readlink "/proc/$process/fd/$_" } 0 .. 2;
	is("@held", '/dev/null /dev/null /dev/null', '... the background process holds none of its caller\'s streams');
	my @pipes = grep { /pipe|\.log/ } map { readlink($_) // '' } glob("/proc/$process/fd/*");
	is("@pipes", '', '... and no pipe or log');
	isnt((split ' ', `ps -o sid= -p $process`)[0], (split ' ', `ps -o sid= -p @{[ $server->pid ]}`)[0], '... in a session of its own');

	# the same directory, copied with its spool
	my $copy_dir = path('copied');
	run_ok('/bin/cp', '-a', $server->pgdata, $copy_dir);
	unlink "$copy_dir/postmaster.pid";
	my @carried = map { /^(0[0-9A-F]{23})\./ && !/part/ ? $1 : () } map { m{([^/]+)$} } glob("$copy_dir/pg_wal/seawall.spool/fetch/*");
	cmp_ok(scalar @carried, '>=', 5, 'a copied data directory carries a spool');
	my $copy = SeawallTest::Cluster->new(name => 'copied', from => $copy_dir);
	$copy->own_settings;
	$proxy->clear;
	$copy->start;
	ok(caught_up($copy, $want_last), '... and recovers');
	my @asked = grep { my $name = $_; !grep { m{/\Q$name\E\.zst 200} } $proxy->requests } @carried;
	is("@asked", '', '... without believing it');
	$copy->stop;
	left_behind($copy, '... nothing is left behind');

	# damage in the spool
	for my $file (glob(spool_of($server) . '/0*'))
	{
		next if $file =~ /part/;
		open my $fh, '+<:raw', $file or next;
		seek $fh, int rand(1 << 20), 0;
		print $fh 'damage';
		close $fh;
	}
	spew(spool_of($server) . '/asked', 'nonsense') if rand() < 0.5;
	kill 'CONT', $startup;
	ok(caught_up($server, $want_last), 'a damaged spool: the standby goes on');
	like($server->log_text, qr/does not have the hash.*fetched from the repository instead/, '... and says that it was damaged');

	# at the end of the WAL each poll is the store's own answer
	sleep 1;
	$proxy->tell('forget');
	sleep 2;
	my %polled;
	$polled{$_}++ for map { m{^GET \S*/wal/\S*/(0[0-9A-F]{23})\.zst 404} ? $1 : () } $proxy->requests;
	my @polls = sort { $b <=> $a } values %polled;
	cmp_ok($polls[0] // 0, '>=', 3, 'at the end each poll of the standby reaches the store');
	cmp_ok($polls[1] // 0, '<=', 2, '... and what follows is hardly asked for') or diag explain \%polled;
	is(scalar(grep { !/asked|target/ } spooled($server)), 0, '... nothing lies in the spool');

	# somebody else's fetch
	my ($first) = map { m{/(0[0-9A-F]{23})\.zst$} } grep { m{/wal/0} } $repo->names;
	is(fetch_wal($first, 'pg_wal/elsewhere', { config => $server->{config}, cwd => $server->pgdata })->{status}, 0, 'another path is served');
	$server->stop;
	left_behind($server, 'a stopped standby: nothing is left behind');
	is(fetch_wal($first, 'pg_wal/RECOVERYXLOG', { config => $server->{config}, cwd => $server->pgdata })->{status}, 0, 'without a server the file is fetched');
	is(background($server), undef, '... and nothing ahead');
}

# --- outages, holes, damage in the middle of a recovery -----------------------------------------------

my @in_wal = sort map { m{/(0[0-9A-F]{23})\.zst$} } grep { m{/wal/0} } $repo->names;
sub object { my ($name) = @_; return (grep { m{/\Q$name\E\.zst$} } $repo->names)[0] }

for my $case (
	[ 'an outage', sub { $proxy->rule('method=GET key=/wal/ skip=25 status 503') }, sub { $proxy->clear }, qr/SlowDown/ ],
	[ 'access denied', sub { $proxy->rule('method=GET key=/wal/ skip=25 status 403 code=AccessDenied') }, sub { $proxy->clear }, qr/AccessDenied/ ],
	[ 'a hole', sub { my $n = object($in_wal[40]); my $b = $repo->get($n); $repo->remove($n); return [ $n, $b ] },
		sub { $repo->replace(@{ $_[0] }) }, qr/$in_wal[40].*hole/ ],
	[ 'a damaged object', sub { my $n = object($in_wal[40]); my $b = $repo->get($n); $repo->flip($n, length($b) / 2); return [ $n, $b ] },
		sub { $repo->replace(@{ $_[0] }) }, qr/$in_wal[40]/ ],
	)
{
	my ($what, $break, $mend, $says) = @$case;
	my $server = recovery();
	my $broken = $break->();
	$server->start(fail_ok => 1, timeout => 60);
	ok(eval { wait_until('the server to stop', sub { !$server->pid }, 60); 1 }, "$what stops recovery");
	like($server->log_text, qr/$says/, '... saying why');
	like($server->log_text, qr/FATAL:  could not restore file/, '... by PostgreSQL, which does not promote');
	unlike($server->log_text, qr/archive recovery complete/, '... nor ends recovery');
	left_behind($server, '... nothing is left behind');
	ok(!-e $server->pgdata . "/pg_wal/$in_wal[40]" || $what !~ /damaged/, '... nothing wrong reached pg_wal');
	$mend->($broken);
	$server->start(timeout => 120);
	recovered($server);
	is(sum_of($server), $want_last, '... a restart continues to the end');
	left_behind($server, '... and nothing is left behind');
	$server->stop;
}

# Stopped in the middle of a fetch that hangs.
for my $mode (qw(fast immediate))
{
	my $server = recovery(@standby, settings => { 'store-stall-timeout' => '30s', 'store-deadline' => '60s' });
	$proxy->rule('method=GET key=/wal/ skip=20 hang');
	$server->start;
	wait_until('a fetch that hangs', sub { $proxy->faulted >= 4 && background($server) }, 30);
	sleep 0.5;
	my $start = time;
	$server->stop($mode);
	cmp_ok(time - $start, '<', 10, "stop -m $mode during a fetch is not held up");
	unlike($server->log_text, qr/PANIC|exit code 126/, '... and clean');
	like($server->log_text, qr/database system is shut down/, '... to the end');
	left_behind($server, '... the background process ends too');
	$proxy->clear;
	$server->start;
	ok(caught_up($server, $want_last), '... and the next start continues');
	$server->stop;
}

# A standby survives an outage.
{
	my $server = recovery(@standby, cluster => { 'standby-outage-wait' => '1s' });
	$proxy->rule('method=GET key=/wal/ skip=25 status 503');
	$server->start;
	wait_until('the outage', sub { $server->log_text =~ /because a standby may stream it/ }, 60);
	ok($server->pid, 'an outage does not end a standby');
	$proxy->clear;
	ok(caught_up($server, $want_last), '... which goes on afterwards');
	$server->promote;
	is(sum_of($server), $want_last, '... and can be promoted');
	left_behind($server, '... upon which nothing is left behind');
	$server->stop;
}

# A target in the middle: what lies ahead of it is thrown away.
{
	my $server = recovery(conf => "recovery_target_name = 'early'\nrecovery_target_action = 'promote'\n");
	$server->start(timeout => 120);
	recovered($server);
	cmp_ok($server->sql('SELECT count(*) FROM t'), '==', 17 * 4000, 'a restore point is reached');
	left_behind($server, '... and nothing is left behind');
	$server->stop;
}
{
	my $server = recovery(conf => "recovery_target_name = 'early'\n", cluster => { 'fetch-idle' => '2s' });
	$server->start(timeout => 120);
	$server->wait_for_sql('SELECT pg_get_wal_replay_pause_state()', 'paused', 60);
	left_behind($server, 'paused at a target: the process ends when nothing is asked for');
	$server->stop;
}

# --- killed at random ------------------------------------------------------------------------------------

{
	$proxy->rule('method=GET key=/wal/ delay 40');
	my $server = recovery(cluster => { 'fetch-spool-max' => '12MB' });
	$server->start(timeout => 120, fail_ok => 1);
	my ($killed, $over) = (0, 0);
	my $end = time + 60;
	until ($over || time > $end)
	{
		sleep rand 0.25;
		my $process = background($server);
		$killed += kill 'KILL', $process if $process;
		$over = $server->sql('SELECT pg_is_in_recovery()') eq 'f';
	}
	is(sum_of($server), $want_last, "the background process was killed $killed times (seed $seed): all is recovered");
	cmp_ok($killed, '>=', 3, '... it was');
	cmp_ok(spool_bytes($server), '<=', 12 << 20, '... what is left lies within the budget');
	$server->stop;
	spew($server->pgdata . '/recovery.signal', '');
	$proxy->clear;
	$server->start(timeout => 120);
	recovered($server);
	left_behind($server, '... and the next recovery cleans up');
	$server->stop;
	$proxy->clear;
}

# --- two recoveries with one spool, on a file system of its own ------------------------------------------

{
	my $dir = path('shared');
	my $disk = SeawallTest::small_disk($dir, '14m') // SeawallTest::make_dir($dir);
	my @two = map { recovery(cluster => { 'fetch-spool' => $dir }) } 1 .. 2;
	my @starting = map { spawn("$_->{bin}/pg_ctl", 'start', '-w', '-s', '-t', 90, '-D', $_->pgdata, '-l', $_->{log}) } @two;
	SeawallTest::reap($_) for @starting;
	for my $server (@two)
	{
		recovered($server);
		is(sum_of($server), $want_last, 'two recoveries with one small spool: all is recovered');
		$server->stop;
	}
	ok(eval { wait_until('an empty spool', sub { !glob("$dir/*/*") }, 10); 1 }, '... and the spool is empty');
	is(scalar(() = glob("$dir/*")), 2, '... where each had its place');
}

# --- a new timeline -------------------------------------------------------------------------------------------

{
	my $old = recovery(standby => 1, direct => 1, conf => "recovery_target_timeline = 'latest'\narchive_mode = on\narchive_command = '"
		. program('seawall-push') . " --config $site->{direct} %p'\n");
	$old->append_conf('archive_mode = on');
	$pg->sql("INSERT INTO t (a, b) SELECT g, md5('more' || g) FROM generate_series(1, 4000) g; SELECT pg_switch_wal()") for 1 .. 3;
	my $sum = sum_of($pg);
	$pg->switch_and_wait;
	$old->start;
	ok(caught_up($old, $sum), 'a standby follows');
	$old->promote;
	fill($old, 12);
	my $new = sum_of($old);
	$old->switch_and_wait;
	# the old primary goes on for a while: its WAL is there, and not on the way
	fill($pg, 12);
	my $server = recovery(conf => "recovery_target_timeline = 'latest'\n");
	$server->start(timeout => 120);
	recovered($server);
	is(sum_of($server), $new, 'recovery through a promotion follows the new timeline');
	left_behind($server, '... and nothing is left behind');
	$server->stop;
	$old->stop;
}

# --- how fast -------------------------------------------------------------------------------------------------

sub rate
{
	my ($server) = @_;
	$server->start(timeout => 120);
	recovered($server);
	my @at = map { $_->[0] * 3600 + $_->[1] * 60 + $_->[2] } map { [ /^\S+ (\d+):(\d+):([\d.]+) .*restored log file "\d/ ] }
		grep { /restored log file "/ } split /\n/, $server->log_text;
	$server->stop;
	return @at > 1 && $at[-1] > $at[0] ? $#at / ($at[-1] - $at[0]) : 0;
}
for my $delay (0, 30)
{
	$proxy->rule("method=GET delay $delay") if $delay;
	my @rate = map { rate(recovery(cluster => { 'fetch-ahead' => $_ }, direct => !$delay)) } 64, 0;
	note sprintf 'segments of 1 MB, %s: %.0f a second ahead, %.0f one at a time', $delay ? "$delay ms away" : 'TLS', @rate;
	$proxy->clear;
}

# --- other versions ---------------------------------------------------------------------------------------------

for my $version (grep { $_ != 15 } versions())
{
	my $other = new_site("v$version", gateway => $s3, segment_mb => 1, version => $version, conf => "wal_keep_size = '100MB'\n");
	my $primary = $other->{pg};
	$primary->sql('CREATE TABLE t (n bigserial, a int, b text)');
	$primary->stop;
	run_ok('/bin/cp', '-a', $primary->pgdata, path("base$version"));
	$primary->start;
	fill($primary, 12);
	my $sum = sum_of($primary);
	$primary->stop;
	my $server = recovery(base => path("base$version"), version => $version, repo => $other->{repo}, direct => 1);
	$server->start(timeout => 120);
	recovered($server);
	is(sum_of($server), $sum, "PostgreSQL $version: all is recovered");
	unlike($server->log_text, qr/seawall\.spool|PANIC/, '... it does not mind the spool');
	left_behind($server, '... nothing is left behind');
	$server->stop;
}

done_testing();
