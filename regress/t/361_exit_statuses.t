# What a recovering PostgreSQL makes of seawall-fetch's exit statuses: only what is proved absent is the end of the WAL.
# (Outages, holes, damage and stops while segments are fetched ahead: 320.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallRecovery;
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $site = new_site('status', gateway => $s3, proxy => $proxy, segment_mb => 1, conf => "wal_keep_size = '100MB'\n");
my ($pg, $repo) = @$site{qw(pg repo)};
my $base = path('base');
$pg->sql('CREATE TABLE t (n bigserial, a int, b text)');
fill($pg, 2);
backup_of($pg, $base);
fill($pg, 12);
my $want = sum_of($pg);
my @wal = sort map { m{/(0[0-9A-F]{23})\.zst$} } $repo->names;
my $middle = $wal[-6];

sub recovery { return new_recovery(base => $base, repo => $repo, proxy => $proxy, @_) }
sub object { my ($name) = @_; return (grep { m{/\Q$name\E\.zst$} } $repo->names)[0] }
my @standby = (standby => 1, conf => "recovery_target_timeline = 'latest'\nwal_retrieve_retry_interval = '200ms'\n");

# Start a recovery that must stop by itself, without having promoted.
sub stops
{
	my ($server, $what, $says) = @_;
	$server->start(fail_ok => 1, timeout => 60);
	ok(stopped_itself($server), "$what stops recovery");
	my $log = $server->log_text;
	like($log, $says, '... saying why');
	like($log, qr/FATAL:  could not restore file "[^"]+" from archive: command not executable/, '... by 126, which is FATAL to PostgreSQL');
	unlike($log, qr/archive recovery complete|selected new timeline|PANIC/, '... which neither ends recovery nor promotes');
	is(join(' ', glob($server->pgdata . '/pg_wal/RECOVERYXLOG*')), '', '... nothing is left at %p');
	return;
}
sub goes_on
{
	my ($server, $name) = @_;
	$server->start(timeout => 120);
	recovered($server);
	is(sum_of($server), $want, $name);
	$server->stop;
	return;
}

# --- wrong usage and configuration ----------------------------------------------------------------

for my $case (
	[ 'an unknown option', sub { "--config $_[0] --no-such-option %f %p" }, qr/no-such-option/ ],
	[ 'a value that is none', sub { "--config $_[0] --fetch-ahead=many %f %p" }, qr/fetch-ahead/ ],
	[ 'a missing argument', sub { "--config $_[0] %f" }, qr/restore_command = 'seawall-fetch %f %p'|a file name and a path/ ],
	[ 'arguments in the wrong order', sub { "--config $_[0] %p %f" }, qr/no name of a WAL file/ ],
	[ 'a configuration that is not there', sub { "--config $_[0].gone %f %p" }, qr/\.gone/ ],
	[ 'another cluster\'s name', sub { "--config $_[0] --cluster other %f %p" }, qr/other/ ],
	[ 'a data directory that is none', sub { "--config $_[0] --pgdata /nowhere %f %p" }, qr{/nowhere} ],
	)
{
	my ($what, $command, $says) = @$case;
	my $server = recovery();
	$server->append_conf("restore_command = '" . program('seawall-fetch') . ' ' . $command->($server->{config}) . "'");
	stops($server, $what, $says);
	$server->append_conf("restore_command = '" . $server->restore_command($server->{config}) . "'");
	goes_on($server, '... and with the right one a restart recovers all');
	SeawallTest::remove_tree($server->pgdata);
}

# --- stores that fail in the middle, whether one file or many are fetched at a time -----------------

my $turn = 0;
for my $case (
	[ 'an outage', 'status 503', qr/SlowDown/ ],
	[ 'a store that refuses connections', 'reset-response 0', qr/./ ],
	[ 'a store that hangs', 'hang', qr/./ ],
	[ 'a body that never comes', 'cut 0', qr/./ ],
	[ 'a body that is always damaged', 'flip -30', qr/./ ],
	[ 'a bucket that is gone', 'status 404 code=NoSuchBucket', qr/NoSuchBucket/ ],
	[ 'a 404 that nobody explains', 'status 404 code=Nonsense', qr/./ ],
	[ 'a cold object', 'status 403 code=InvalidObjectState', qr/InvalidObjectState/ ],
	)
{
	my ($what, $fault, $says) = @$case;
	for my $ahead (long_tests() ? (0, 64) : $turn++ % 2 ? 64 : 0)
	{
		$proxy->clear;
		$proxy->rule("method=GET key=$middle $fault");
		my $server = recovery(cluster => { 'fetch-ahead' => $ahead });
		stops($server, "$what, " . ($ahead ? 'fetching ahead' : 'one at a time') . ',', $says);
		like($server->log_text, qr/could not restore file "$middle"/, '... at that segment');
		$proxy->clear;
		goes_on($server, '... a restart continues to the end');
		SeawallTest::remove_tree($server->pgdata);
	}
}

# An object that is not what its name says: never at %p.
for my $case (
	[ 'another segment under its name', sub { $repo->get(object($wal[-2])) } ],
	[ 'half of it', sub { substr $_[0], 0, length($_[0]) / 2 } ],
	[ 'nothing in it', sub { '' } ],
	[ 'a changed byte', sub { my ($b) = @_; substr($b, -200, 1) ^= "\x20"; return $b } ],
	)
{
	my ($what, $damage) = @$case;
	my $name = object($middle);
	my $bytes = $repo->get($name);
	$repo->replace($name, $damage->($bytes));
	my $server = recovery();
	stops($server, "a damaged object ($what)", qr/\Q$middle\E/);
	$repo->replace($name, $bytes);
	goes_on($server, '... mended: all is recovered');
	SeawallTest::remove_tree($server->pgdata);
}

# --- stopped while a fetch hangs --------------------------------------------------------------------

for my $case ([ 'in archive recovery', 0, 'fast' ], [ 'in archive recovery', 0, 'immediate' ], [ 'on a standby', 1, 'fast' ])
{
	my ($where, $standby, $mode) = @$case;
	$proxy->clear;
	$proxy->rule("method=GET key=$middle hang");
	my $server = recovery($standby ? @standby : (), cluster => { 'fetch-ahead' => 0 },
		settings => { 'store-stall-timeout' => '120s', 'store-deadline' => '240s' });
	my $starting = spawn("$server->{bin}/pg_ctl", 'start', '-w', '-s', '-t', 300, '-D', $server->pgdata, '-l', $server->{log});
	wait_until('a fetch that hangs', sub { $proxy->faulted }, 60);
	my $start = time;
	$server->stop($mode);
	cmp_ok(time - $start, '<', 60, "$where: a stop -m $mode ends a fetch that would hang for minutes");
	SeawallTest::reap($starting);
	my $log = $server->log_text;
	unlike($log, qr/PANIC|not executable/, '... it is no failure');
	like($log, qr/database system is shut down/, '... but a shutdown');
	unlike($log, qr/archive recovery complete|selected new timeline/, '... not the end of the WAL');
	$proxy->clear;
	$server->start(timeout => 120);
	if ($standby) { ok(caught_up($server, $want), '... and the next start goes on') }
	else { recovered($server); is(sum_of($server), $want, '... and the next start goes on') }
	$server->stop;
	SeawallTest::remove_tree($server->pgdata);
}

# --- standbys ---------------------------------------------------------------------------------------------

# Whatever fails, a standby lives and goes on.
for my $case ([ 'an outage', 'status 503' ], [ 'a damaged object', 'flip -30' ], [ 'a store that resets', 'reset-response 0' ])
{
	my ($what, $fault) = @$case;
	$proxy->clear;
	$proxy->rule("method=GET key=$middle $fault");
	my $server = recovery(@standby, cluster => { 'standby-outage-wait' => '1s' });
	$server->start(timeout => 120);
	wait_until('the failure', sub { $server->log_text =~ /error: .*streaming|because a standby may stream it/ }, 60);
	ok($server->pid, "$what does not end a standby");
	unlike($server->log_text, qr/FATAL:  could not restore|PANIC/, '... nor its recovery');
	$proxy->clear;
	ok(caught_up($server, $want), '... which goes on afterwards');
	$server->stop;
	SeawallTest::remove_tree($server->pgdata);
}

# Promoted while it cannot see which timelines exist: it may take one that is taken.  Archiving says so, and a cluster name
# of its own mends it.  From timeline 1, which has no history, and from 2, whose history PostgreSQL asks for once more
# when its signal file is gone.
{
	my $sum = $want;
	for my $timeline (2, 3)
	{
		my $parent = $timeline - 1;
		my $taken = sprintf '%08X.history', $timeline;
		my ($rival, $server) = map { new_recovery(standby => 1, archive => 1, name => "$_$timeline", base => $base, repo => $repo,
			proxy => $_ eq 'rival' ? undef : $proxy, cluster => { 'standby-outage-wait' => '1s' },
			conf => "recovery_target_timeline = '$parent'\nwal_retrieve_retry_interval = '200ms'\nwal_keep_size = '100MB'\n") } "rival", "server";
		$proxy->clear;
		$_->start for $rival, $server;
		ok(caught_up($_, $sum), "a standby on timeline $parent") for $rival, $server;
		$rival->promote;
		fill($rival, 2);
		ok((grep { m{/\Q$taken\E\.zst$} } $repo->names), "... one is promoted, and its timeline $timeline is archived");
		my %theirs = map { $_ => $repo->get($_) } grep { m{/0000000$timeline} } $repo->names;
		$proxy->rule('status 503');
		ok(eval { $server->promote; 1 }, '... the other can be promoted during an outage') or diag substr $server->log_text, -3000;
		like($server->log_text, qr/selected new timeline ID: $timeline\b/, '... but cannot see that the timeline is taken');
		unlike($server->log_text, qr/FATAL|PANIC/, '... and does not fail half way');
		$server->sql("INSERT INTO t (a, b) SELECT g, 'after the promotion' FROM generate_series(1, 100) g; SELECT pg_switch_wal()");
		my $own = sum_of($server);
		$proxy->clear;
		my $says = qr/already in \S+ with other content.*give (?:it|this one) a cluster name of its own/;
		eval { wait_until('the refusal', sub { $server->log_text =~ $says }, 90) };
		like($server->log_text, $says, '... what it archives is refused, and the remedy is said');
		is(scalar(grep { $repo->get($_) ne $theirs{$_} } keys %theirs), 0, '... what is there stays');

		my $config = slurp($server->{config}) =~ s/\[cluster main\]/[cluster main$timeline]\npgdata = @{[ $server->pgdata ]}/r;
		spew($server->{config}, $config);
		is(seawall('init', { config => $server->{config} })->{status}, 0, '... with a name of its own');
		is(eval { fill($server, 1); 1 }, 1, '... all that waited is archived') or diag substr $server->log_text, -2000;
		is(join(' ', glob $server->pgdata . '/pg_wal/archive_status/*.ready'), '', '... and nothing waits');
		$sum = sum_of($rival);
		$_->stop for $rival, $server;
	}
}
done_testing();
