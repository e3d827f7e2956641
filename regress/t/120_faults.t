# A network, a store and disks that fail: what every program answers, and that the next run succeeds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $site = new_site('faults', gateway => $s3, proxy => $proxy, segment_mb => 1, conf => "wal_keep_size = '200MB'\narchive_timeout = 0\n",
	settings => { 'store-deadline' => '4s', 'store-stall-timeout' => '1s', 'store-connect-timeout' => '1s' });
my ($pg, $repo, $config) = @$site{qw(pg repo config)};
$pg->pgbench('-i', '-q', '-s', 2);
$pg->switch_and_wait;
$pg->append_conf('archive_command = \'/bin/true\'');
$pg->reload;
# Segments that are in pg_wal and not in the repository: a fresh one for each case.
my @fresh = map {
	$pg->sql("INSERT INTO pgbench_history SELECT 1, 1, 1, 0, now(), 'x' FROM generate_series(1, 100)");
	$pg->sql('SELECT pg_walfile_name(pg_switch_wal())');
} 1 .. 40;

my $last;
sub status_of
{
	$last = shift;
	return defined $last->{status} ? $last->{status} : "signal $last->{signal}";
}
sub is_status
{
	my ($r, $want, $name) = @_;
	return is(status_of($r), $want, $name) || diag SeawallTest::describe($last);
}
sub push_file { my ($file, $with) = @_; return push_wal("pg_wal/$file", { config => $with // $config, cwd => $pg->pgdata, timeout => 60 }) }
sub fetch_file
{
	my ($file, $with) = @_;
	unlink path('fetched');
	return fetch_wal($file, path('fetched'), { config => $with // $config, cwd => $pg->pgdata, timeout => 60 });
}
sub good { my ($file) = @_; return -e path('fetched') && slurp(path('fetched')) eq slurp($pg->pgdata . "/pg_wal/$file") }
sub in_repo { my ($file) = @_; return grep { m{/\Q$file\E\.} } $repo->names }

# --- one fault, then it is over: the same run succeeds -------------------------------------

for my $case (
	[ 'a 503 that asks for a second', 'status 503 retry-after=1' ],
	[ 'a 500', 'status 500 code=InternalError' ],
	[ 'a 409 of a conditional request', 'status 409 code=ConditionalRequestConflict' ],
	[ 'RequestTimeout', 'status 400 code=RequestTimeout' ],
	[ 'a reset in the request', 'method=PUT reset-request 100', 'push' ],
	[ 'an upload damaged on its way', 'method=PUT flip-request 200', 'push' ],
	[ 'a lost answer', 'method=PUT drop-answer', 'push' ],
	[ 'a reset in the answer', 'method=GET key=/wal/ reset-response 500', 'fetch' ],
	[ 'an answer cut short', 'method=GET key=/wal/ cut 500', 'fetch' ],
	[ 'a server that hangs', 'hang' ],
	[ 'a server that stalls in the answer', 'method=GET key=/wal/ hang-response 500', 'fetch' ],
)
{
	my ($what, $rule, $only) = @$case;
	my $file = shift @fresh;
	if (($only // 'push') eq 'push')
	{
		my $start = time;
		$proxy->rule("count=1 $rule");
		is_status(push_file($file), 0, "push: $what, once");
		ok($proxy->faulted, '... it happened');
		cmp_ok(time - $start, '>=', 1, '... Retry-After was honoured') if $rule =~ /retry-after/;
		$proxy->clear;
	}
	else { push_file($file, $site->{direct}) }
	is_status(fetch_file($file, $site->{direct}), 0, '... it is whole');
	ok(good($file), '... and right');
	next if ($only // 'fetch') ne 'fetch';
	$proxy->rule("count=1 $rule");
	is_status(fetch_file($file), 0, "fetch: $what, once");
	ok($proxy->faulted, '... it happened');
	ok(good($file), '... and the bytes are right');
	$proxy->clear;
}

# A flipped byte on the way: never at %p.  Read again or refused, both are right.
{
	my $file = shift @fresh;
	push_file($file, $site->{direct});
	for my $at (0, 10, 300, -1)
	{
		$proxy->rule("method=GET key=/wal/ count=1 flip $at");
		my $status = status_of(fetch_file($file));
		ok($proxy->faulted, "fetch: byte $at of the answer flipped");
		ok($status == 0 ? good($file) : $status == 126 && !-e path('fetched'), '... never gives wrong bytes')
			or diag SeawallTest::describe($last);
		$proxy->clear;
		is_status(fetch_file($file), 0, '... the next fetch succeeds');
	}
}

# --- a fault that stays: refused in one line, nothing visible, the next run succeeds ----------

for my $case (
	[ '503', 'status 503', qr/SlowDown.*faultproxy-\d|faultproxy-\d.*SlowDown/ ],
	[ 'a reset of every request', 'method=PUT reset-request 50', qr/./, 'push' ],
	[ 'a hanging server', 'hang', qr/./ ],
	[ 'an answer that never has a body', 'method=GET key=/wal/ cut 0', qr/./, 'fetch' ],
	[ 'an answer that is always damaged', 'method=GET key=/wal/ flip 300', qr/./, 'fetch' ],
	[ 'an upload that is always damaged', 'method=PUT flip-request 200', qr/XAmzContentSHA256Mismatch|SHA/i, 'push' ],
	[ 'denied', 'status 403 code=AccessDenied', qr/AccessDenied/ ],
	[ 'a wrong clock, says the store', 'status 403 code=RequestTimeTooSkewed', qr/RequestTimeTooSkewed.*clock|clock.*RequestTimeTooSkewed/ ],
	[ 'a wrong region', 'status 400 code=AuthorizationHeaderMalformed', qr/region/ ],
	[ 'a redirect', 'status 301 code=PermanentRedirect', qr/region|endpoint/ ],
	[ 'a 404 that is no NoSuchKey', 'status 404 code=Nonsense', qr/./ ],
	[ 'no such bucket', 'status 404 code=NoSuchBucket', qr/NoSuchBucket/ ],
	[ 'a cold object', 'method=GET key=/wal/ status 403 code=InvalidObjectState', qr/InvalidObjectState/, 'fetch' ],
	[ 'an expired token', 'status 400 code=ExpiredToken', qr/ExpiredToken/ ],
	[ 'a code nobody knows', 'status 418 code=Teapot', qr/Teapot/ ],
)
{
	my ($what, $rule, $words, $only) = @$case;
	my $file = shift @fresh;
	if (($only // 'push') eq 'push')
	{
		$proxy->rule($rule);
		is_status(push_file($file), 1, "push: $what");
		like($last->{err}, $words, '... says why');
		is_one_line($last->{err}, '... in one line');
		is(scalar(in_repo($file)), 0, '... nothing is visible');
		$proxy->clear;
		is_status(push_file($file), 0, '... and the next push succeeds');
	}
	else { push_file($file, $site->{direct}) }
	if (($only // 'fetch') eq 'fetch')
	{
		$proxy->rule($rule);
		is_status(fetch_file($file), 126, "fetch: $what");
		like($last->{err}, $words, '... says why');
		is_one_line($last->{err}, '... in one line');
		ok(!-e path('fetched'), '... nothing is at %p');
		$proxy->clear;
	}
	is_status(fetch_file($file), 0, '... and the next fetch succeeds');
	ok(good($file), '... with the right bytes');
}

# --- clocks ---------------------------------------------------------------------------------
SKIP:
{
	my ($library) = glob('/usr/lib/*/faketime/libfaketime.so.1');
	skip 'faketime is not installed', 4 unless $library;
	skip 'the sanitizer and faketime both want to be first', 4 if ($ENV{ASAN_OPTIONS} // '') ne '';
	my %late = (LD_PRELOAD => $library, FAKETIME => '-1200', FAKETIME_DONT_FAKE_MONOTONIC => 1);
	my $file = shift @fresh;
	is_status(push_wal("pg_wal/$file", { config => $config, cwd => $pg->pgdata, env => \%late }), 1, 'push: a clock 20 minutes late');
	like($last->{err}, qr/clock/, '... says so');
	is_status(fetch_wal($file, path('fetched'), { config => $config, cwd => $pg->pgdata, env => \%late }), 126, 'fetch: the same');
	like($last->{err}, qr/clock/, '... says so');
}

# --- backup and restore through all of it -------------------------------------------------------

sub backups { return grep { m{/manifest\.zst$} } $repo->names }
sub restore_to
{
	my ($dir, $with, @more) = @_;
	return seawall('restore', '--pgdata', $dir, '--target-immediate', '--target-action', 'promote', @more,
		{ config => $with, timeout => 300 });
}
sub starts
{
	my ($dir, $name) = @_;
	my $new = SeawallTest::Cluster->new(name => 'n' . $name, from => $dir);
	$new->own_settings("archive_mode = off\n");
	ok($new->start(fail_ok => 1), '... it starts') or return diag $new->log_text;
	$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60);
	is($new->sql('SELECT count(*) FROM pgbench_accounts'), '200000', '... with its rows');
	is($new->amcheck, '', '... sound');
	$new->stop;
	SeawallTest::remove_tree($dir);
}

$pg->append_conf("archive_command = '" . program('seawall-push') . " --config $site->{direct} %p'");
$pg->reload;

$proxy->rule('method=PUT key=/pack/ status 503');
is_status(seawall('backup', '--label', 'never', { config => $config }), 1, 'backup: 503 for packs');
is_one_line($last->{err}, '... in one line');
is(scalar(backups()), 0, '... no backup is visible');
is($pg->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}), '0', '... no session is left');
$proxy->clear;

$proxy->tell('seed 7');
$proxy->rule($_) for 'method=PUT probability=0.1 status 503', 'method=PUT probability=0.1 reset-request 1000',
	'method=PUT probability=0.1 drop-answer', 'method=GET probability=0.1 reset-response 100', 'method=GET probability=0.1 cut 100';
is_status(seawall('backup', '--label', 'stormy', { config => $config, timeout => 300 }), 0, 'backup in a storm');
cmp_ok($proxy->faulted, '>', 0, '... of ' . $proxy->faulted . ' faults');
is(scalar(backups()), 1, '... is visible');
is_status(restore_to(path('stormy'), $config), 0, 'restore in a storm');
$proxy->clear;
starts(path('stormy'), 'stormy');

$proxy->rule('method=GET key=/pack/ skip=1 hang');
my $dir = path('half');
is_status(restore_to($dir, $config), 1, 'restore: a store that hangs');
is_one_line($last->{err}, '... in one line');
ok(!-e "$dir/global/pg_control", '... what is half made cannot be started');
$proxy->clear;
is_status(restore_to($dir, $config), 0, '... the next run goes on and succeeds');
starts($dir, 'half');

# --- objects that rotted in the store -------------------------------------------------------------

my ($pack) = grep { m{/pack/stormy/.*\.pack$} } $repo->names;
my ($map) = grep { m{/pack/stormy/.*\.map$} } $repo->names;
my ($manifest) = backups();
(my $copy = $manifest) =~ s/manifest\.zst$/manifest.copy.zst/;
for my $case ([ 'pack', [$pack] ], [ 'map', [$map] ], [ 'manifest and its copy', [ $manifest, $copy ] ])
{
	my ($what, $names) = @$case;
	my %good = map { $_ => $repo->get($_) } @$names;
	for my $damage ([ 'damaged', sub { my ($b) = @_; substr($b, length($b) * 0.3, 1) ^= "\x10"; return $b } ],
		[ 'cut short', sub { return substr $_[0], 0, length($_[0]) * 0.3 } ], [ 'gone', undef ])
	{
		my ($how, $make) = @$damage;
		for my $name (@$names)
		{
			if ($make) { $repo->replace($name, $make->($good{$name})) }
			else { $repo->remove($name) }
		}
		$dir = path('rotten');
		# Without its manifest a backup is not there: then the label is wrong.
		my $want = !$make && $names->[0] eq $manifest ? 2 : 1;
		is_status(restore_to($dir, $site->{direct}, '--backup', 'stormy'), $want, "restore: a $what $how");
		is_one_line($last->{err}, '... in one line');
		my ($base) = $names->[0] =~ m{([^/]+)$};
		like($last->{err}, qr/\Q$base\E|stormy/, '... that names it');
		ok(!-e "$dir/global/pg_control", '... and cannot be started');
		$repo->replace($_, $good{$_}) for @$names;
	}
	is_status(restore_to($dir, $site->{direct}), 0, "restore: the mended $what, in the same directory");
	starts($dir, 'rotten');
}
$repo->flip($manifest, 100);
is_status(restore_to(path('copy'), $site->{direct}), 0, 'restore: one manifest damaged, its copy serves');
like($last->{err}, qr/warning/, '... with a warning');
SeawallTest::remove_tree(path('copy'));
# --- full disks -----------------------------------------------------------------------------------
SKIP:
{
	my $disk = SeawallTest::small_disk(path('disk'), '3m');
	skip 'no file system may be mounted here', 12 unless $disk;
	my $small = SeawallTest::Repo->new(file => "$disk/repo");
	my $on_disk = write_config(path('disk.conf'), cluster => { pgdata => $pg->pgdata, 'pg-host' => $pg->sockets, 'pg-user' => 'postgres',
		'archive-timeout' => '2s' }, repos => [$small]);
	is_status(seawall('init', { config => $on_disk }), 0, 'a small disk: init');
	is_status(seawall('backup', { config => $on_disk, timeout => 60 }), 1, '... backup of too much');
	like($last->{err}, qr/No space left/, '... says so');
	is_one_line($last->{err}, '... in one line');
	is(scalar(grep { /manifest/ } $small->names), 0, '... and nothing is visible');
	SeawallTest::remove_tree("$disk/repo");
	$small = SeawallTest::Repo->new(file => "$disk/repo");
	seawall('init', { config => $on_disk });
	run('/bin/dd', 'if=/dev/zero', "of=$disk/filler", 'bs=4096', 'status=none');
	my $file = shift @fresh;
	is_status(push_file($file, $on_disk), 1, 'push to a full disk');
	like($last->{err}, qr/No space left/, '... says so');
	is(scalar(grep { /wal/ } $small->names), 0, '... and nothing is visible');
	push_file($file, $site->{direct});
	is_status(fetch_wal($file, "$disk/fetched", { config => $config, cwd => $pg->pgdata }), 126, 'fetch to a full disk');
	like($last->{err}, qr/No space left/, '... says so');
	ok(!-e "$disk/fetched", '... and nothing is at %p');
	is_status(restore_to("$disk/restored", $site->{direct}), 1, 'restore to a full disk');
	like($last->{err}, qr/No space left/, '... says so');
	unlink "$disk/filler";
	is_status(push_file($file, $on_disk), 0, 'push when there is room again');
}

done_testing();
