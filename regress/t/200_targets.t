# What can be recovered, on real servers: windows, gaps, restore points, forks, and what is not archived yet.
use strict;
use utf8;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
use Time::HiRes qw(sleep);

sub succeeds
{
	my ($name, $r, $status) = @_;
	is($r->{status}, $status // 0, $name) or diag SeawallTest::describe($r);
	return $r;
}

sub text
{
	my ($config, $name, @option) = @_;
	my $status = ref $option[-1] ? ${ pop @option } : 0;
	return succeeds($name, seawall('targets', @option, { config => $config }), $status)->{out};
}

# The one system in the one repository.
sub data
{
	my ($config, @option) = @_;
	my $r = seawall('targets', '--json', @option, { config => $config });
	my $documents = eval { decode_json($r->{out}) } // [];
	diag SeawallTest::describe($r) unless @$documents == 1 && @{ $documents->[0]{systems} } == 1;
	return $documents->[0]{systems}[0];
}

# Some work in a segment of its own; the segment's name.
sub work
{
	my ($pg, $word) = @_;
	$pg->sql("INSERT INTO mark VALUES ('$word')");
	return $pg->switch_and_wait;
}

sub windows
{
	my ($data) = @_;
	return join ' ', map { sprintf '%d:%s-%s%s', @$_{qw(timeline first_backup last_backup)}, $_->{open} ? '' : '!' }
		@{ $data->{windows} };
}

sub object { my ($repo, $segment) = @_; return (grep { m{/\Q$segment\E\.zst$} } $repo->names)[0] }

# A server restored from what is archived, which goes on on a timeline of its own and archives that.
sub promoted
{
	my ($site, $name, @option) = @_;
	my $dir = path($name);
	succeeds("restore $name", seawall('restore', '--pgdata', $dir, '--target-action', 'promote', @option, { config => $site->{config} }))
		->{status} == 0 or return undef;
	my $new = SeawallTest::Cluster->new(version => $site->{pg}->version, name => $name, from => $dir);
	my $config = write_config(path("$name.conf"), seawall => { workers => 2 }, cluster => { pgdata => $dir,
		'pg-host' => $new->sockets, 'pg-port' => 5432, 'pg-user' => 'postgres', 'archive-timeout' => '60s' },
		repos => [ $site->{repo} ]);
	$new->own_settings(sprintf "archive_command = '%s --config %s %%p'\n", program('seawall-push'), $config);
	$new->start;
	$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 90);
	return { %$site, pg => $new, config => $config };
}

# --- one timeline ---------------------------------------------------------------------

sub first_window
{
	my ($site) = @_;
	my ($pg, $config) = @$site{qw(pg config)};
	my $out = text($config, 'without a backup the answer is no', \3);
	like($out, qr/^nothing can be recovered: there is no backup; 'seawall backup' makes one/m, '... in words');
	like($out, qr/^  WAL only   0000000100000000000000\w\w to /m, '... but the WAL is shown');

	succeeds('a backup', seawall('backup', '--label', 'first', { config => $config }));
	$pg->sql("SELECT pg_create_restore_point('before_work')");
	my $xid = $pg->sql("BEGIN; INSERT INTO mark VALUES ('x'); SELECT pg_current_xact_id(); COMMIT");
	my $point = $pg->sql("SELECT pg_create_restore_point('after_work')");
	$pg->switch_and_wait;
	my $now = $pg->sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");

	$out = text($config, 'with one there is an answer');
	like($out, qr/^timeline 1\n  reachable  [-\d]+ [:\d]+Z to [-\d]+ [:\d]+Z, LSN \S+ to \S+, from backup first; \d+ commits?$/m,
		'... the window, its times, LSNs and backup');
	like($out, qr/^restore points\n  \S+ \S+  timeline 1, LSN \S+  before_work\n  \S+ \S+  timeline 1, LSN \S+  after_work$/m,
		'... the restore points, in order');
	like($out, qr/^reachable now: up to LSN \S+ of timeline 1, transaction $xid at /m, '... and the last transaction');

	my $data = data($config);
	is(windows($data), '1:first-first', 'as JSON: one window, which is open');
	is($data->{windows}[0]{last_transaction}{xid}, $xid, '... its last transaction');
	cmp_ok($data->{windows}[0]{end_time}, 'le', $now, '... its end is not in the future');
	is_deeply([ map { $_->{name} . ($_->{reachable} ? '' : ' not reachable') } @{ $data->{restore_points} } ],
		[ 'before_work', 'after_work' ], '... the restore points');
	is($pg->sql("SELECT pg_lsn '$data->{restore_points}[1]{lsn}' < pg_lsn '$point'"), 't', '... where their records begin');
	is($data->{latest}{end_lsn}, $data->{windows}[0]{end_lsn}, '... and the end');
	is(scalar @{ $data->{gaps} }, 0, '... no gaps');
	return;
}

# PostgreSQL itself stops at both ends of a window.
sub reachable
{
	my ($site) = @_;
	my $window = data($site->{config})->{windows}[0];
	for my $end (qw(begin_lsn end_lsn))
	{
		my $dir = path("$end$site->{name}");
		succeeds("restore to $end", seawall('restore', '--pgdata', $dir, '--target-lsn', $window->{$end}, '--target-action', 'promote',
			{ config => $site->{config} }))->{status} == 0 or next;
		my $new = SeawallTest::Cluster->new(version => $site->{pg}->version, name => "$end$site->{name}", from => $dir);
		$new->own_settings("archive_command = 'false'\n");
		ok($new->start(fail_ok => 1), '... it starts') or next;
		$new->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60);
		like($new->log_text, qr/recovery stopping after WAL location \(LSN\) "$window->{$end}"/, '... and stops there');
		$new->stop('immediate');
	}
	return;
}

# What --since, --until, --between and --limit leave.
sub choices
{
	my ($site) = @_;
	my $config = $site->{config};
	my @points = @{ data($config)->{restore_points} };
	my $last = $points[-1]{time};
	is_deeply([ map { $_->{name} } @{ data($config, '--since', $last)->{restore_points} } ], [ $points[-1]{name} ],
		'--since leaves the later ones');
	is_deeply([ map { $_->{name} } @{ data($config, '--until', $points[0]{time})->{restore_points} } ], [ $points[0]{name} ],
		'--until the earlier ones');
	is(scalar @{ data($config, '--between', '2020-01-01T00:00Z/2020-01-02T00:00Z')->{windows} }, 0, '--between both');
	is_deeply([ map { $_->{name} } @{ data($config, '--limit', 1)->{restore_points} } ], [ $points[-1]{name} ],
		'--limit the newest');
	my $out = text($config, '--limit in text', '--limit', 1);
	like($out, qr/^  \d+ more are left out: --limit=0 shows them$/m, '... which says so');
	is(scalar(() = $out =~ /^  \S+ \S+  timeline /mg), 1, '... and is kept');
	for my $wrong ([ '--since', 'yesterday' ], [ '--until', '2026-11-20 10:00' ], [ '--between', '2026-11-20 10:00Z' ],
		[ '--since', '2026-11-20 10:00Z', '--until', '2026-11-20 09:00Z' ],
		[ '--between', '2026-11-20 10:00Z/2026-11-20 11:00Z', '--since', '2026-11-20 10:00Z' ])
	{
		my $r = seawall('targets', @$wrong, { config => $config });
		is($r->{status}, 2, "@$wrong: wrong usage");
		is_one_line($r->{err}, '... in one line');
	}
	return;
}

# What is not archived yet, with archiving stopped, the server stopped, or nobody asked.
sub lag
{
	my ($site) = @_;
	my ($pg, $config) = @$site{qw(pg config)};
	my $server = data($config)->{server};
	is_deeply([ @$server{qw(answered in_recovery timeline)} ], [ JSON::PP::true, JSON::PP::false, 1 ], 'the server is asked');
	cmp_ok($server->{unarchived_bytes}, '<', 100_000, '... and little is not archived');

	$pg->sql("ALTER SYSTEM SET archive_command = 'false'");
	$pg->reload;
	$pg->wait_for_sql('SHOW archive_command', 'false');
	$pg->sql("INSERT INTO mark SELECT md5(g::text) FROM generate_series(1, 20000) g");
	$pg->sql('SELECT pg_switch_wal()');
	$pg->wait_for_sql('SELECT failed_count > 0 FROM pg_stat_archiver', 't');
	sleep 1.1;
	$server = data($config)->{server};
	my $behind = $pg->sql("SELECT pg_current_wal_insert_lsn() - pg_lsn '$server->{archived_lsn}'");
	cmp_ok($server->{unarchived_bytes}, '>', 1_000_000, 'archiving stopped: what is not archived is counted');
	cmp_ok(abs($server->{unarchived_bytes} - $behind), '<', 100_000, '... up to where the server is');
	cmp_ok($server->{unarchived_age_ms}, '>=', 1000, '... and how old it is');
	like($server->{last_failed_wal}, qr/^[0-9A-F]{24}$/, '... and what the archiver failed with');
	my $out = text($config, 'in text');
	like($out, qr/^not archived yet: [\d.]+ MiB of WAL, LSN \S+ to \S+ of timeline 1 on the primary; what is archived ends \d+s ago$/m,
		'... the same');
	like($out, qr/^the server's archiver failed last with $server->{last_failed_wal} at \S+ \S+, and nothing was archived since/m,
		'... and the archiver');
	like(text($config, '--offline', '--offline'), qr/^not archived yet: not known, the server was not asked$/m, '... asks nobody');

	$pg->sql('ALTER SYSTEM RESET archive_command');
	$pg->reload;
	work($pg, 'archived again');
	like(text($config, 'archiving again'), qr/^the server's archiver failed last .*and has archived since/m, '... says so');
	$pg->stop;
	like(text($config, 'the server is stopped'), qr/^not archived yet: not known, the server does not answer: /m, '... which is no error');
	$pg->start;
	return;
}

# A standby is asked for what it has replayed.  Then the primary fails, in the middle of a segment, and the standby is
# promoted; the site as it is then.
sub failover
{
	my ($site) = @_;
	my ($pg, $config) = @$site{qw(pg config)};
	my $dir = path("standby$site->{name}");
	succeeds('a standby', seawall('restore', '--standby', '--pgdata', $dir, { config => $config }))->{status} == 0 or return;
	my $standby = SeawallTest::Cluster->new(version => $pg->version, name => "s$site->{name}", from => $dir);
	my $of_standby = write_config(path("standby-$site->{name}.conf"), cluster => { pgdata => $dir, 'pg-host' => $standby->sockets,
		'pg-port' => 5432, 'pg-user' => 'postgres', 'archive-timeout' => '60s' }, repos => [ $site->{repo} ]);
	$standby->own_settings(sprintf "archive_command = '%s --config %s %%p'\n", program('seawall-push'), $of_standby);
	SeawallTest::append("$dir/postgresql.auto.conf", "primary_conninfo = '" . $pg->conninfo . "'\n");
	$standby->start;
	$pg->sql("INSERT INTO mark SELECT md5(g::text) FROM generate_series(1, 2000) g");
	my $lsn = $pg->sql('SELECT pg_current_wal_lsn()');
	$standby->wait_for_sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'", 't');
	my $server = data($of_standby)->{server};
	ok($server->{in_recovery}, '... says that it is one');
	cmp_ok($server->{unarchived_bytes}, '>', 50_000, '... and what it has that is not archived');
	like(text($of_standby, 'in text'), qr/^not archived yet: .* of timeline 1 on the standby;/m, '... in words');

	# a restore point alone is not flushed
	$lsn = $pg->sql("SELECT pg_create_restore_point('last_moment')");
	$pg->sql("INSERT INTO mark VALUES ('last commit')");
	$standby->wait_for_sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'", 't');
	$pg->stop('immediate');
	$standby->promote;
	work($standby, 'on 2');
	my $data = data($of_standby);
	my $fork = $data->{timelines}[0]{lsn};
	is($standby->sql("SELECT ('$fork'::pg_lsn - '0/0') % (1024 * 1024) > 0"), 't', 'a failover in the middle of a segment');
	ok((grep { m{/wal/00000001/\w+\.partial\.zst$} } $site->{repo}->names), '... which the first timeline has in part only');
	is(windows($data), '1:first-first 2:first-first', '... windows on both timelines');
	is($data->{windows}[0]{end_lsn}, $fork, '... the first one goes on to the fork');
	is($data->{windows}[1]{begin_lsn}, $fork, '... where the second begins');
	is_deeply([ map { [ @$_{qw(timeline reachable)} ] } grep { $_->{name} eq 'last_moment' } @{ $data->{restore_points} } ],
		[ [ 1, JSON::PP::true ] ], '... a restore point just before is on the first');

	$pg->start;
	work($pg, 'on 1');
	$data = data($config);
	is(windows($data), '1:first-first 2:first-first', 'the first server comes back: windows on both timelines');
	is($pg->sql("SELECT pg_lsn '$data->{windows}[0]{end_lsn}' > '$fork'"), 't', '... the first now goes on behind the fork');
	is($data->{latest}{timeline}, 1, '... asked, it says how far its own goes');
	is(data($of_standby)->{latest}{timeline}, 2, '... the other likewise');
	$pg->stop;
	return { %$site, pg => $standby, config => $of_standby };
}

# --- gaps and damage --------------------------------------------------------------------

sub gaps
{
	my ($site) = @_;
	my ($pg, $repo, $config) = @$site{qw(pg repo config)};
	$pg->sql("SELECT pg_create_restore_point('before_gap')");
	work($pg, 'before');
	my $lost = work($pg, 'lost');
	$pg->sql("SELECT pg_create_restore_point('behind_gap')");
	my $behind = work($pg, 'behind');
	$repo->remove(object($repo, $lost));

	my $out = text($config, 'a segment is gone');
	like($out, qr/^  missing    $lost$/m, '... and named');
	like($out, qr/^what follows on timeline 1 cannot be recovered, because $lost is missing; 'seawall backup' opens a new window$/m,
		'... with what to do');
	like($out, qr/before_gap\n/, '... a restore point before it');
	like($out, qr/behind_gap  \(not reachable\)\n/, '... and one behind');
	is(windows(data($config)), '1:first-first!', '... the window is closed');

	succeeds('a backup behind the gap', seawall('backup', '--label', 'second', { config => $config }));
	work($pg, 'after');
	my $data = data($config);
	is(windows($data), '1:first-first! 1:second-second', '... opens another');
	is_deeply([ map { "$_->{first}-$_->{last}" } @{ $data->{gaps} } ], ["$lost-$lost"], '... one gap');

	my $rotten = work($pg, 'rotten');
	work($pg, 'behind that');
	my $object = object($repo, $rotten);
	my $good = $repo->get($object);
	$repo->replace($object, 'rotten');
	$out = text($config, 'an object is damaged');
	like($out, qr/^  damaged    $rotten: \S/m, '... and named, with the reason');
	is(windows(data($config)), '1:first-first! 1:second-second!', '... both windows are closed');
	$repo->replace($object, $good);
	is(windows(data($config)), '1:first-first! 1:second-second', '... and mended');

	$pg->sql("SELECT pg_create_restore_point('before_gap')");
	work($pg, 'twice');
	like(text($config, 'a name that is used twice'), qr/before_gap  \(one of several of that name: use the LSN\)\n.*before_gap  \(one of/s,
		'... is marked');
	return;
}

# --- timelines ---------------------------------------------------------------------------

sub timelines
{
	my ($site) = @_;
	my ($repo, $config) = @$site{qw(repo config)};
	my $fork = $site->{pg}->sql('SELECT pg_current_wal_lsn()');
	work($site->{pg}, 'last of 1');
	$site->{pg}->stop;
	my $second = promoted($site, "b$site->{name}") or return;
	work($second->{pg}, 'on 2');
	$second->{pg}->sql("SELECT pg_create_restore_point('on_two')");
	my $last = work($second->{pg}, 'last of 2');
	$second->{pg}->stop;
	my $third = promoted($second, "c$site->{name}") or return;
	work($third->{pg}, 'on 3');

	my $out = text($third->{config}, 'after two promotions');
	like($out, qr/^timeline 2, left 1 at LSN \S+, [-\d]+ [:\d]+Z$/m, '... the first fork');
	like($out, qr/^timeline 3, left 2 at LSN \S+, [-\d]+ [:\d]+Z$/m, '... and the second');
	like($out, qr/^reachable now: up to LSN \S+ of timeline 3, transaction \d+ at /m, '... the newest is the end');
	my $data = data($third->{config});
	is(windows($data), '1:first-first! 1:second-second 2:second-second 3:second-second', 'windows on each');
	is(scalar(grep { $_->{name} eq 'on_two' && $_->{timeline} == 2 && $_->{reachable} } @{ $data->{restore_points} }), 1,
		'... a restore point on the second');
	is_deeply([ map { [ @$_{qw(timeline parent problem)} ] } @{ $data->{timelines} } ], [ [ 2, 1, undef ], [ 3, 2, undef ] ], '... the forks');
	is($third->{pg}->sql("SELECT pg_lsn '$data->{timelines}[0]{lsn}' >= pg_lsn '$fork'"), 't', '... at an LSN');
	is($data->{windows}[2]{begin_lsn}, $data->{timelines}[0]{lsn}, '... where the window begins');
	is($data->{windows}[3]{begin_lsn}, $data->{timelines}[1]{lsn}, '... that of the third too');
	is($data->{server}{timeline}, 3, '... the server is on the third');

	my $history = object($repo, '00000003.history');
	my $text = $repo->get($history);
	$repo->remove($history);
	$out = text($third->{config}, 'a history is gone');
	like($out, qr/^timeline 3: 00000003\.history is not in the repository/m, '... which is said');
	like($out, qr/^nothing of timeline 3, on which the server is, can be recovered; 'seawall backup' opens a window there$/m,
		'... with what to do');
	like(text($third->{config}, 'and nobody is asked', '--offline'), qr/^nothing of timeline 3, the newest one, can be recovered;/m,
		'... the same');
	is(windows(data($third->{config})), '1:first-first! 1:second-second 2:second-second', '... nothing leads to its timeline');
	$repo->replace($history, $text);
	return $third;
}

# --- the drawing --------------------------------------------------------------------------

# As on a terminal of so many columns, in a locale.
sub drawn
{
	my ($config, $columns, $locale, @option) = @_;
	my $command = join ' ', map { "'$_'" } program('seawall'), 'targets', @option;
	my $r = SeawallTest::run('script', '-qec', $command, '/dev/null',
		{ env => { SEAWALL_CONFIG => $config, COLUMNS => $columns, LC_ALL => $locale } });
	my $out = $r->{out} =~ s/\r//gr;
	$out =~ s/.*\e\[K//;
	utf8::decode($out);
	return $out;
}

sub drawing
{
	my ($site) = @_;
	my $config = $site->{config};
	my $out = drawn($config, 100, 'C.UTF-8');
	my @rows = $out =~ /^(timeline \d  .*[━┄].*)$/gm;
	is(scalar @rows, 3, 'a row for each timeline');
	like($rows[0], qr/■.*╳.*■/, '... backups around a gap') or diag $out;
	like($rows[0], qr/┳/, '... a fork');
	like($rows[1], qr/^timeline 2 +┗/, '... and the child that begins there');
	like($out, qr/◆ restore point/, '... what is drawn is explained');
	like($out, qr/^ +\d{4}-\d\d-\d\d [:\d]+Z +\d{4}-\d\d-\d\d [:\d]+Z$/m, '... with its times');
	is(scalar(grep { length > 100 } grep { /^timeline \d +[^ ]*[━┄┗]|^ {14}/ } split /\n/, $out), 0, '... within the columns') or diag $out;
	is(index($rows[0], '┳'), index($rows[1], '┗'), '... one below the other') or diag $out;

	$out = drawn($config, 60, 'C');
	like($out, qr/^timeline 1 +[=.]*B.*X.*B.*\+/m, 'another locale: ASCII') or diag $out;
	unlike(($out =~ /^(timeline .*)\nreachable now/ms)[0] // $out, qr/[^\0-\x7f]/, '... alone');
	is(scalar(grep { length > 60 } grep { /^timeline \d +[=.`]/ } split /\n/, $out), 0, '... in 60 columns');
	unlike(text($config, 'no terminal'), qr/[■━]/, '... no drawing');
	return;
}

my $s3 = SeawallTest::Gateway->new;
subtest 'on S3' => sub {
	my $site = new_site('s3', kind => 's3', gateway => $s3, version => (versions())[0], segment_mb => 1);
	$site->{name} = 's3';
	$site->{pg}->sql('CREATE TABLE mark (word text)');
	$site->{pg}->switch_and_wait;
	first_window($site);
	$site = failover($site) or return;
	work($site->{pg}, 'lost');
	my $lost = work($site->{pg}, 'lost too');
	work($site->{pg}, 'behind');
	$site->{repo}->remove(object($site->{repo}, $lost));
	like(text($site->{config}, 'a segment is gone'), qr/^  missing    $lost$/m, '... and named');
	$site->{pg}->stop;
};

for my $version (versions())
{
	subtest "PostgreSQL $version" => sub {
		my $site = new_site("t$version", kind => 'file', version => $version, segment_mb => 1, conf => "wal_keep_size = 0\n");
		$site->{name} = "t$version";
		$site->{pg}->sql('CREATE TABLE mark (word text)');
		$site->{pg}->switch_and_wait;
		first_window($site);
		reachable($site);
		choices($site);
		lag($site);
		gaps($site);
		my $last = timelines($site) or return;
		drawing($last);
		$last->{pg}->stop;
	};
}
done_testing();
