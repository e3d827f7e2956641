# What `seawall plan` says is what PostgreSQL then does: the record at which recovery stops, its transaction, time and
# place, and the rows that are there.  One scripted history with two promotions and a sibling branch.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep);

# --- history ------------------------------------------------------------------------

my %target;

# One statement list in one psql; remembers rows that it leaves, in the order of commits.
sub work
{
	my ($pg, $name, $text) = @_;
	my $out = $pg->sql($text);
	my ($xid) = $out =~ /^(\d+)$/m;
	sleep 0.01;
	return $target{"$name.xid"} = $xid;
}

sub now_lsn { my ($pg) = @_; return $pg->sql('SELECT pg_current_wal_insert_lsn()') }
sub now_time { my ($pg) = @_; return $pg->sql("SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.US') || '+00'") }

sub mark
{
	my ($pg, $name) = @_;
	sleep 0.01;
	$target{"$name.lsn"} = now_lsn($pg);
	$target{"$name.time"} = now_time($pg);
	sleep 0.01;
	return;
}

sub commit
{
	my ($pg, $name) = @_;
	work($pg, $name, "BEGIN; INSERT INTO t VALUES ('$name'); SELECT pg_current_xact_id(); COMMIT");
	return mark($pg, $name);
}

sub play_first
{
	my ($pg) = @_;
	commit($pg, 'one');
	work($pg, 'aborted', "BEGIN; INSERT INTO t VALUES ('aborted'); SELECT pg_current_xact_id(); ROLLBACK");
	mark($pg, 'aborted');
	my $out = $pg->sql(<<'SQL');
BEGIN;
INSERT INTO t VALUES ('sub top');
SELECT 'top ' || pg_current_xact_id();
SAVEPOINT a;
INSERT INTO t VALUES ('sub released');
SELECT 'sub ' || (SELECT xmin FROM t WHERE what = 'sub released');
RELEASE a;
SAVEPOINT b;
INSERT INTO t VALUES ('sub rolled back');
SELECT 'back ' || (SELECT xmin FROM t WHERE what = 'sub rolled back');
ROLLBACK TO b;
COMMIT;
SQL
	$target{"$1.xid"} = $2 while $out =~ /^(top|sub|back) (\d+)$/mg;
	mark($pg, 'sub');
	work($pg, 'prepared', "BEGIN; INSERT INTO t VALUES ('prepared'); SELECT pg_current_xact_id(); PREPARE TRANSACTION 'p'");
	commit($pg, 'two');
	$pg->sql("COMMIT PREPARED 'p'");
	mark($pg, 'prepared');
	work($pg, 'undone', "BEGIN; INSERT INTO t VALUES ('undone'); SELECT pg_current_xact_id(); PREPARE TRANSACTION 'q'");
	$pg->sql("ROLLBACK PREPARED 'q'");
	$pg->sql("SELECT pg_create_restore_point('safe')");
	commit($pg, 'three');
	$pg->sql("SELECT pg_create_restore_point('twice')");
	work($pg, 'created', "BEGIN; CREATE TABLE gone AS SELECT 1 AS x; SELECT pg_current_xact_id(); COMMIT");
	$pg->sql("SELECT pg_create_restore_point('twice')");
	$pg->switch_and_wait;
	work($pg, 'dropped', "BEGIN; INSERT INTO t VALUES ('dropped'); DROP TABLE gone; SELECT pg_current_xact_id(); COMMIT");
	mark($pg, 'dropped');
	commit($pg, 'four');
	$pg->switch_and_wait;
}

# What each target leaves, on the path to each timeline.
my @first = ('one', 'sub top', 'sub released', 'two', 'prepared', 'three', 'dropped', 'four');

sub succeeds
{
	my ($name, $r) = @_;
	ok(defined $r->{status} && $r->{status} == 0, $name) or diag SeawallTest::describe($r);
	return defined $r->{status} && $r->{status} == 0;
}

# --- restores ---------------------------------------------------------------------------

my $serial = 0;

sub restore
{
	my ($site, @options) = @_;
	my $dir = path('r' . ++$serial);
	my $r = seawall('restore', '--pgdata', $dir, '--json', @options, { config => $site->{config} });
	succeeds("restore @options", $r) or return;
	return ($dir, decode_json($r->{out}));
}

sub adopt
{
	my ($site, $dir, $settings) = @_;
	my $pg = SeawallTest::Cluster->new(version => $site->{pg}->version, name => "s$serial", from => $dir);
	$pg->own_settings($settings);
	return $pg;
}

# A new timeline that archives, from a restore to `options`.
sub promoted
{
	my ($site, @options) = @_;
	my ($dir) = restore($site, '--target-action', 'promote', @options) or die 'no restore';
	my $pg = adopt($site, $dir);
	$pg->start;
	$pg->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 90);
	return $pg;
}

sub make_plan
{
	my ($site, @options) = @_;
	my $r = seawall('plan', '--json', @options, { config => $site->{config} });
	my $json = eval { decode_json($r->{out}) } // {};
	return ($json, $r);
}

# The settings of a plan in a copy of a restored directory.
my $base;
sub copy_base
{
	my ($site, $plan) = @_;
	($base) = restore($site, '--backup', 'first', '--target-immediate') unless defined $base;
	my $dir = path('r' . ++$serial);
	system('cp', '-a', '--reflink=auto', $base, $dir) == 0 or die 'cp';
	my $file = "$dir/postgresql.auto.conf";
	my $text = join '', grep { !/^recovery_target/ } map { "$_\n" } split /\n/, slurp($file);
	my %settings = %{ $plan->{settings} };
	for my $empty (1, 0)
	{
		$text .= "$_ = '$settings{$_}'\n"
			for grep { /^recovery_target/ && ($settings{$_} eq '' ? 1 : 0) == $empty } sort keys %settings;
	}
	spew($file, $text);
	return $dir;
}

sub normal_time
{
	my ($text) = @_;
	$text =~ s/[TZ]/ /g;
	$text =~ s/ UTC$|\+00$//;
	$text =~ s/ +$//;
	$text =~ s/(\.\d*?)0+$/$1/;
	$text =~ s/\.$//;
	return $text;
}

# What the server wrote when it stopped, as a list that planned() gives too.
sub reported
{
	my ($log) = @_;
	return "$1 $2 $3 " . normal_time($4) if $log =~ /recovery stopping (before|after) (commit|abort) of transaction (\d+), time (.*)/;
	return "$1 LSN $2" if $log =~ m{recovery stopping (before|after) WAL location \(LSN\) "([0-9A-F/]+)"};
	return "point $1 " . normal_time($2) if $log =~ /recovery stopping at restore point "(.*)", time (.*)/;
	return 'consistent' if $log =~ /recovery stopping after reaching consistency/;
	return "end $1" if $log =~ m{redo done at ([0-9A-F/]+)};
	return 'nothing';
}

sub planned
{
	my ($stop) = @_;
	my $kind = $stop->{kind} // '';
	return "$1 " . ($stop->{commit} ? 'commit' : 'abort') . " $stop->{xid} " . normal_time($stop->{time})
		if $kind =~ /^(before|after) transaction$/;
	return "$1 LSN $stop->{lsn}" if $kind =~ /^(before|after) LSN$/;
	return "point $stop->{name} " . normal_time($stop->{time}) if $kind eq 'restore point';
	return "end $stop->{lsn}" if $kind eq 'end';
	return $kind;
}

# Start, and see where it stops, and what is there.
sub check_stop
{
	my ($site, $name, $dir, $stop, $want) = @_;
	my $pg = adopt($site, $dir, "archive_mode = off\n");
	$pg->start;
	my $end = ($stop->{kind} // '') eq 'end';
	SeawallTest::wait_until("$name to stop", sub { $pg->log_text =~ /recovery stopping|redo done|FATAL/ }, 60);
	$pg->wait_for_sql('SELECT pg_is_in_recovery()', 'f', 60) if $end;
	is(reported($pg->log_text), planned($stop), "$name: PostgreSQL stops where the plan says");
	my $rows = join ', ', sort split /\n/, $pg->sql('SELECT what FROM t');
	is($rows, join(', ', sort @$want), '... with exactly those rows');
	$pg->stop('immediate');
	SeawallTest::remove_tree($dir);
	return;
}

# --- cases ----------------------------------------------------------------------------------

# name, options, how many of @first are there or the rows themselves, real: by `seawall restore` itself
sub cases
{
	my %t = %target;
	my @two = (@first, 'five', 'six');
	my @four = (@two, 'seven', 'eight');
	my @at_fork = @first[0 .. 4];
	return (
		[ 'time', [ '--target-time', $t{'two.time'} ], [ @first[0 .. 3] ], 1 ],
		[ 'time that an abort follows', [ '--target-time', $t{'one.time'} ], [ 'one' ] ],
		[ 'time of a commit itself', [ '--target-time', $t{'exact.time'} ], [ @first[0 .. 3] ] ],
		[ 'time of a commit itself, exclusive', [ '--target-time', $t{'exact.time'}, '--target-exclusive' ], [ @first[0 .. 2] ] ],
		[ 'xid', [ '--target-xid', $t{'two.xid'} ], [ @first[0 .. 3] ] ],
		[ 'xid, exclusive', [ '--target-xid', $t{'dropped.xid'}, '--target-exclusive' ], [ @first[0 .. 5] ], 1 ],
		[ 'xid of a transaction that was rolled back', [ '--target-xid', $t{'aborted.xid'} ], [ 'one' ] ],
		[ 'xid of a subtransaction', [ '--target-xid', $t{'sub.xid'} ], [ @first[0 .. 2] ], 1 ],
		[ 'xid of a subtransaction, exclusive', [ '--target-xid', $t{'sub.xid'}, '--target-exclusive' ], [ 'one' ] ],
		[ 'xid of a subtransaction that was rolled back', [ '--target-xid', $t{'back.xid'} ], [ 'one' ] ],
		[ 'xid of a prepared transaction', [ '--target-xid', $t{'prepared.xid'} ], [ @first[0 .. 4] ] ],
		[ 'xid of a prepared transaction, exclusive', [ '--target-xid', $t{'prepared.xid'}, '--target-exclusive' ], [ @first[0 .. 3] ] ],
		[ 'xid of a prepared transaction that was rolled back', [ '--target-xid', $t{'undone.xid'}, '--target-exclusive' ], [ @at_fork ] ],
		[ 'restore point', [ '--target-name', 'safe' ], [ @at_fork ] ],
		[ 'restore point on the child', [ '--target-name', 'child' ], [ @first, 'five' ] ],
		[ 'LSN', [ '--target-lsn', $t{'three.lsn'} ], undef ],
		[ 'LSN, exclusive', [ '--target-lsn', $t{'three.lsn'}, '--target-exclusive' ], [ @first[0 .. 5] ], 1 ],
		[ 'LSN within a record', [ '--target-lsn', $t{'within.lsn'} ], undef ],
		[ 'time after the first promotion', [ '--target-time', $t{'five.time'} ], [ @first, 'five' ] ],
		[ 'time after the second promotion', [ '--target-time', $t{'seven.time'} ], [ @two, 'seven' ] ],
		[ 'xid after the second promotion, exclusive', [ '--target-xid', $t{'eight.xid'}, '--target-exclusive' ], [ @two, 'seven' ] ],
		[ 'LSN after the second promotion', [ '--target-lsn', $t{'seven.lsn'}, '--target-exclusive' ], [ @two, 'seven' ] ],
		[ 'time on the sibling branch', [ '--target-time', $t{'side.time'}, '--target-timeline', 3 ], [ @at_fork, 'side' ], 1 ],
		[ 'xid on the sibling branch', [ '--target-xid', $t{'side.xid'}, '--target-timeline', 3, '--target-exclusive' ], [ @at_fork ] ],
		[ 'the end of the first child', [ '--target-timeline', 2 ], [ @two ] ],
		[ 'the end', [], [ @four ] ],
		[ 'consistency', [ '--target-immediate' ], [] ],
		[ 'a time when nothing was committed any more', [ '--target-time', $t{'idle.time'} ], [ @four ], 1 ],
		[ 'now', [ '--target-time', $t{'now.time'} ], [ @four ] ],
	);
}

sub run_case
{
	my ($site, $case) = @_;
	my ($name, $options, $want, $real) = @$case;
	my @options = (@$options, $real ? () : ('--backup', 'first'));
	my ($plan, $r) = make_plan($site, @options);
	succeeds("$name: plan @options", $r) or return;
	my ($dir, $restored) = $real ? restore($site, @options) : copy_base($site, $plan);
	return unless defined $dir;
	is_deeply($restored->{stop}, $plan->{stop}, '... and restore says the same') if $real;
	# which record begins there nobody knew: what the plan says of the commit before decides
	my %rows = map { $target{"$_->[0].xid"} => $_->[1] } ([ two => 3 ], [ prepared => 4 ], [ three => 5 ], [ created => 5 ]);
	$want //= [ @first[0 .. $rows{ $plan->{stop}{before}{xid} } ] ];
	return check_stop($site, $name, $dir, $plan->{stop}, $want);
}

# --- no ------------------------------------------------------------------------------------

sub refused
{
	my ($site, $name, $options, $pattern, $remedy) = @_;
	my ($json, $r) = make_plan($site, @$options);
	is($r->{status}, 3, "$name is refused") or diag SeawallTest::describe($r);
	like("$json->{reason}; $json->{hint}", $pattern, '... in words');
	return unless $remedy;
	# what the hint says can be pasted
	my ($paste) = $json->{hint} =~ /((?:--backup \S+ |--target-timeline \d+ )*--target-(?:lsn [0-9A-F\/]+|immediate|name '[^']*'|time '[^']*')(?: --target-timeline \d+)?)/;
	my @words = map { s/^'|'$//gr } (($paste // '') =~ /('[^']*'|\S+)/g);
	my ($again, $r2) = make_plan($site, @words);
	is($r2->{status}, 0, '... and what it suggests works: ' . join ' ', @words) or diag SeawallTest::describe($r2);
	return;
}

# PostgreSQL's own answer to what is refused.
sub fails_in_postgresql
{
	my ($site, $xid) = @_;
	my ($plan) = make_plan($site, '--backup', 'first', '--target-xid', $target{'one.xid'});
	$plan->{settings}{recovery_target_xid} = $xid;
	my $pg = adopt($site, copy_base($site, $plan), "archive_mode = off\n");
	$pg->start(fail_ok => 1);
	SeawallTest::wait_until('the end', sub { $pg->log_text =~ /FATAL|redo done/ && !$pg->pid }, 60);
	like($pg->log_text, qr/recovery ended before configured recovery target was reached/, '... as PostgreSQL ends, when it is told so');
	return;
}

sub refusals
{
	my ($site) = @_;
	refused($site, 'a time in the future', [ '--target-time', '2199-01-01T00:00Z' ], qr/in the future/);
	refused($site, 'a transaction that did not end', [ '--target-xid', 2_000_000_000 ], qr/neither committed nor rolled back/, 1);
	fails_in_postgresql($site, 2_000_000_000);
	refused($site, 'an ambiguous restore point', [ '--target-name', 'twice' ], qr/ambiguous, there are 2/, 1);
	refused($site, 'a restore point that is not there', [ '--target-name', 'none' ], qr/--target-name '(child|safe|twice)'/, 1);
	refused($site, 'an LSN behind the end', [ '--target-lsn', 'FF/0' ], qr/ends before/, 1);
	refused($site, 'a time before the first backup', [ '--target-time', $target{'before.time'} ], qr/earliest moment/, 1);
	my ($within) = make_plan($site, '--target-time', $target{'within.time'});
	is($within->{stop}{xid}, $target{'one.xid'}, 'a time within a backup, when nothing was committed, is reached');
	refused($site, 'a time behind the end of a timeline that was left', [ '--target-time', $target{'idle.time'},
		'--target-timeline', 1 ], qr/--target-timeline [24]/, 1);
	my ($json, $r) = make_plan($site, '--target-time', '2026-11-20 14:32:00');
	is($r->{status}, 2, 'a time without a zone is no time');
	return;
}

# A segment in the middle is gone.
sub refuses_gap
{
	my ($site) = @_;
	my ($plan) = make_plan($site, '--backup', 'first', '--target-xid', $target{'four.xid'});
	my $segment = $plan->{segments}[0]{last};
	my ($object) = grep { m{/\Q$segment\E\.zst$} } $site->{repo}->names;
	my $bytes = $site->{repo}->get($object);
	$site->{repo}->remove($object);
	refused($site, 'a time behind a gap', [ '--backup', 'first', '--target-time', $target{'four.time'} ], qr/hole before it.*\Q$segment\E/);
	refused($site, 'an LSN behind a gap', [ '--backup', 'first', '--target-lsn', $target{'four.lsn'} ], qr/\Q$segment\E/);
	my ($before) = make_plan($site, '--target-time', $target{'two.time'});
	ok($before->{reachable}, '... what lies before it can be reached');
	# what stands in a segment that does not decide is not read for a plan
	my $spoilt = $bytes;
	substr($spoilt, -100, 1) ^= "\x01";
	$site->{repo}->replace($object, $spoilt);
	my ($behind) = make_plan($site, '--backup', 'first', '--target-xid', $target{'seven.xid'});
	is($behind->{stop}{xid}, $target{'seven.xid'}, '... segments that do not decide are not read whole');
	# damaged, not gone
	substr($bytes, 12, 1) ^= "\x01";
	$site->{repo}->replace($object, $bytes);
	refused($site, 'a time behind a damaged segment', [ '--backup', 'first', '--target-time', $target{'five.time'} ], qr/will not pass LSN.*\Q$segment\E/);
	return;
}

# --- what is told -----------------------------------------------------------------------------

sub idle_words
{
	my ($site) = @_;
	my ($idle, $r) = make_plan($site, '--target-time', $target{'idle.time'});
	is($idle->{idle}, 'proved', 'a time between the last commit and a checkpoint is proved');
	like("@{$idle->{remarks}}", qr/nothing was committed between transaction $target{'eight.xid'},/, '... and said');
	my ($now, $r2) = make_plan($site, '--target-time', $target{'now.time'});
	is($now->{idle}, 'assumed', 'a time behind all is assumed');
	like($r2->{err}, qr/warning: THE ARCHIVE ENDS BEFORE THE TARGET.* NOT /, '... loudly');
	my ($named) = make_plan($site, '--target-xid', $target{'seven.xid'});
	is($named->{backup}{label}, 'second', 'the newest backup before a transaction is taken');
	my ($early) = make_plan($site, '--target-xid', $target{'two.xid'});
	is($early->{backup}{label}, 'first', '... also if an older one');
	ok($early->{estimate} && $early->{estimate}{same_host}, '... and the estimate knows of earlier restores');
	is_deeply([ map { $_->{timeline} } @{ $named->{path} } ], [ 1, 2, 4 ], '... with the path');
	my ($sub) = make_plan($site, '--target-xid', $target{'sub.xid'});
	is($sub->{settings}{recovery_target_xid}, $target{'top.xid'}, 'a subtransaction becomes its top one');
	my $text = seawall('plan', '--target-xid', $target{'sub.xid'}, { config => $site->{config} });
	like($text->{out}, qr/^It stops after the commit of transaction $target{'top.xid'}, .*, at LSN/m, '... in words too');
	return;
}

# --- all of it ------------------------------------------------------------------------------------

sub make_history
{
	my ($version) = @_;
	my $site = new_site("plan$version", kind => 'file', version => $version, segment_mb => 1,
		conf => "max_prepared_transactions = 5\nautovacuum = off\n");
	my $pg = $site->{pg};
	%target = ();
	$pg->sql('CREATE TABLE t (what text)');
	mark($pg, 'before');
	succeeds('the first backup', seawall('backup', '--label', 'first', { config => $site->{config} }));
	play_first($pg);
	$pg->stop;
	# timeline 2
	my $second = promoted($site);
	commit($second, 'five');
	$second->sql("SELECT pg_create_restore_point('child')");
	commit($second, 'six');
	$second->switch_and_wait;
	my $config = write_config(path("second$version.conf"), seawall => { workers => 2 }, repos => [ $site->{repo} ], cluster => {
		pgdata => $second->pgdata, 'pg-host' => $second->sockets, 'pg-port' => 5432, 'pg-user' => 'postgres',
		'archive-timeout' => '60s' });
	succeeds('the second backup', seawall('backup', '--label', 'second', { config => $config }));
	$second->stop;
	# timeline 3, beside it
	my $side = promoted($site, '--target-name', 'safe', '--target-timeline', 1);
	commit($side, 'side');
	commit($side, 'late');
	$side->switch_and_wait;
	$side->stop;
	# timeline 4
	my $fourth = promoted($site, '--target-timeline', 2);
	commit($fourth, 'seven');
	commit($fourth, 'eight');
	sleep 0.1;
	mark($fourth, 'idle');
	sleep 1.7;
	$fourth->sql('CHECKPOINT');
	$fourth->switch_and_wait;
	sleep 1.1;
	mark($fourth, 'now');
	$fourth->stop('immediate');
	return $site;
}

for my $version (versions())
{
	subtest "PostgreSQL $version" => sub {
		my $site = make_history($version);
		$base = undef;
		# places that only the WAL tells
		my ($exact) = make_plan($site, '--target-xid', $target{'two.xid'});
		$target{'exact.time'} = $exact->{stop}{time};
		my ($hi, $lo) = split m{/}, $exact->{stop}{lsn};
		$target{'within.lsn'} = sprintf '%s/%X', $hi, hex($lo) + 8;
		my ($first) = make_plan($site, '--target-immediate', '--backup', 'first');
		$target{'within.time'} = $first->{backup}{started};
		idle_words($site);
		run_case($site, $_) for cases();
		refusals($site);
		refuses_gap($site);
	};
}

done_testing;
