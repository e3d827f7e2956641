# Timelines: standbys that follow through seawall-fetch alone across two promotions, and recoveries that fetch ahead
# across forks, never from a parent that went on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallRecovery;
use SeawallTest;
use Test::More;

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my @follows = (standby => 1, conf => "recovery_target_timeline = 'latest'\nwal_retrieve_retry_interval = '200ms'\nwal_keep_size = '200MB'\n");

sub timeline_of { my ($server) = @_; return $server->sql("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int") }
sub archived { my ($repo) = @_; return sort map { m{/([0-9A-F]{24})\.zst$} } $repo->names }

# A primary, two standbys that take over one after the other, and one that only follows.
sub test_two_promotions
{
	my ($version) = @_;
	my $site = new_site("line$version", gateway => $s3, version => $version, segment_mb => 1, conf => "wal_keep_size = '200MB'\n");
	my ($a, $repo) = @$site{qw(pg repo)};
	$a->sql('CREATE TABLE t (n bigserial, a int, b text)');
	fill($a, 2);
	my $base = backup_of($a, path("base$version"));
	my ($b, $c, $s) = map { new_recovery(name => "$_$version", base => $base, repo => $repo, version => $version, @follows,
		archive => $_ ne 's', proxy => $_ eq 's' ? $proxy : undef) } qw(b c s);
	fill($a, 5);
	$_->start for $b, $c, $s;
	my ($old, @forks) = $a;
	for my $new ($b, $c)
	{
		my $sum = sum_of($old);
		ok(caught_up($_, $sum), "$version: a standby has what is archived") for grep { $_ != $old } $new, $c, $s;
		$old->stop;
		$new->promote;
		push @forks, $new->sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
		fill($new, 2);
		$new->sql("INSERT INTO t (a, b) SELECT 0, g::text FROM generate_series(1, 1000) g; SELECT pg_create_restore_point('middle');"
			. "INSERT INTO t (a, b) VALUES (-1, 'behind it')") if $new == $b;
		fill($new, 3);
		$old = $new;
	}
	my $sum = sum_of($c);
	ok(caught_up($s, $sum), "$version: the standby that fetches alone has followed both promotions, and its rows are the primary's");
	is(timeline_of($c), 3, '... on timeline 3');
	unlike($s->log_text, qr/FATAL|PANIC|started streaming/, '... without streaming');
	is($s->sql('SELECT count(*) FROM pg_stat_wal_receiver'), 0, '... from anybody');
	$s->stop;
	left_behind($s, '... nothing is left behind');
	return { a => $a, b => $b, c => $c, repo => $repo, base => $base, forks => \@forks, sum => $sum, version => $version };
}

# The old primaries come back and archive what no recovery may read.
sub go_on_alone
{
	my ($t) = @_;
	my %before = map { $_ => 1 } archived($t->{repo});
	for my $server (@$t{qw(a b)})
	{
		$server->start;
		fill($server, 4);
		$server->stop;
	}
	return grep { !$before{$_} } archived($t->{repo});
}

sub fetched { return map { m{^GET \S*/wal/\S*/([0-9A-F]{24})\.zst 200} ? $1 : () } $proxy->requests }

# While recovery waits for a segment before the first fork, its spool gets those behind both.
sub test_ahead_across
{
	my ($t, @orphans) = @_;
	my ($first, $second) = @{ $t->{forks} };
	$proxy->clear;
	$proxy->rule('method=GET key=/wal/00000001/ skip=1 delay 2500');
	my $server = new_recovery(base => $t->{base}, repo => $t->{repo}, version => $t->{version}, proxy => $proxy, @follows,
		cluster => { 'fetch-workers' => 16 }, settings => { 'store-stall-timeout' => '10s', 'store-deadline' => '20s' });
	my $starting = spawn("$server->{bin}/pg_ctl", 'start', '-w', '-s', '-t', 120, '-D', $server->pgdata, '-l', $server->{log});
	my @ready;
	my $seen = eval { wait_until('the spool', sub {
		@ready = map { /^([0-9A-F]{24})\./ && !/part/ ? $1 : () } spooled($server);
		return (grep { $_ eq $first } @ready) && (grep { $_ eq $second } @ready);
	}, 60); 1 };
	ok($seen, 'the segments of both forks come from the children') or diag "@ready";
	unlike($server->log_text, qr/restored log file "$first"/, '... before recovery asks for the first of them');
	is(SeawallTest::reap($starting)->{status}, 0, '... which then starts');
	ok(caught_up($server, $t->{sum}), '... and comes to the end');
	my %wrong = map { $_ => 1 } @orphans;
	is(join(' ', grep { $wrong{$_} } fetched()), '', '... nothing was fetched of what the parents wrote behind the forks');
	$server->stop;
	left_behind($server, '... nothing is left behind');
	return;
}

# A fork in the middle of a segment, and a numeric target that is not the newest timeline.
sub test_numeric
{
	my ($t, @orphans) = @_;
	my $version = $t->{version};
	my $side = new_recovery(name => 'side', base => $t->{base}, repo => $t->{repo}, version => $version, archive => 1,
		conf => "recovery_target_name = 'middle'\nrecovery_target_timeline = '2'\nrecovery_target_action = 'promote'\nwal_keep_size = '200MB'\n");
	$side->start(timeout => 120);
	recovered($side);
	is(timeline_of($side), 4, 'a recovery that ends in the middle of timeline 2 begins timeline 4');
	my $fork = $side->sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
	cmp_ok($side->sql('SELECT count(*) FROM t WHERE a = -1'), '==', 0, '... before what followed');
	fill($side, 4);
	my $sum = sum_of($side);
	$side->stop;
	my $parent = '00000002' . substr $fork, 8;
	ok((grep { $_ eq $parent } archived($t->{repo})), '... the parent has the segment of the fork too');

	for my $target ([ 4, $sum, qr/^00000003|^$parent/ ], [ 3, $t->{sum}, qr/^00000004/ ])
	{
		my ($timeline, $want, $never) = @$target;
		$proxy->clear;
		my $server = new_recovery(base => $t->{base}, repo => $t->{repo}, version => $version, proxy => $proxy,
			conf => "recovery_target_timeline = '$timeline'\n");
		$server->start(timeout => 120);
		recovered($server);
		is(sum_of($server), $want, "recovery along timeline $timeline brings its rows");
		my %wrong = map { $_ => 1 } @orphans;
		is(join(' ', grep { $wrong{$_} || /$never/ } fetched()), '', '... and fetches nothing of other lines');
		left_behind($server, '... nothing is left behind');
		$server->stop;
	}
	return;
}

# A .partial is what PostgreSQL never asks for by itself.
sub test_partial
{
	my ($t) = @_;
	my $dir = $t->{c}->pgdata;
	my $end = (sort grep { /^00000003/ } archived($t->{repo}))[-1];
	my $next = sprintf '%s%08X', substr($end, 0, 16), 1 + hex substr $end, 16;
	my $with = { config => $t->{c}{config}, cwd => $dir };
	spew(path("$next.partial"), slurp("$dir/pg_wal/$next"));
	my $r = push_wal(path("$next.partial"), $with);
	is($r->{status}, 0, 'a .partial is archived') or diag SeawallTest::describe($r);
	is(fetch_wal($next, path('whole'), $with)->{status}, 1, '... it is not given for the segment');
	ok(!-e path('whole'), '... nor put anywhere');
	is(fetch_wal("$next.partial", path('partial'), $with)->{status}, 0, '... but under its own name');
	ok(-e path('partial') && slurp(path('partial')) eq slurp(path("$next.partial")), '... whole');
	return;
}

# pg_rewind asks by the same restore_command, and is not a recovery.
sub test_rewind
{
	my ($t) = @_;
	my ($old, $new) = @$t{qw(a c)};
	my $config = write_config(path('rewind.conf'), cluster => { pgdata => $old->pgdata }, repos => [ $t->{repo} ]);
	$old->append_conf("restore_command = '" . $old->restore_command($config) . "'");
	my @gone = grep { m{/00000001[0-9A-F]{16}$} } glob $old->pgdata . '/pg_wal/0*';
	unlink grep { m{([^/]+)$} && '00000002' . substr($1, 8) lt $t->{forks}[0] } @gone;
	my $rewind = spawn(SeawallTest::pg_client('pg_rewind'), '-c', '--debug', '-D', $old->pgdata, '--source-server=' . $new->conninfo);
	my $ahead = 0;
	wait_until('pg_rewind', sub { $ahead = 1 if background($old); !SeawallTest::alive($rewind) }, 120);
	my $r = SeawallTest::reap($rewind);
	is($r->{status}, 0, 'pg_rewind with seawall-fetch as its restore_command') or diag SeawallTest::describe($r);
	like($r->{err}, qr/restored|executing|restore_command|seawall-fetch/, '... which it used');
	ok(!$ahead && !background($old), '... nothing is fetched ahead for it');
	is(join(' ', spooled($old)), '', '... and its spool is empty');
	return;
}

my ($t, @more) = map { test_two_promotions($_) } long_tests() ? versions() : (versions())[0];
$_->{c}->stop for @more;
my @orphans = go_on_alone($t);
cmp_ok(scalar @orphans, '>=', 8, 'the old primaries come back and archive ' . @orphans . ' segments that nobody may read');
test_ahead_across($t, @orphans);
test_numeric($t, @orphans);
test_partial($t);
SKIP:
{
	skip 'pg_rewind is of PostgreSQL 15', 4 if $t->{version} != 15;
	test_rewind($t);
}
$t->{c}->stop;
done_testing();
