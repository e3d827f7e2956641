# Several repositories: what is acknowledged while one is down, what is not; and how it is paid.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use SeawallTest;
use Test::More;

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);

# A stopped cluster whose archiver never worked: its segments all wait.
my $pg = SeawallTest::Cluster->new(name => 'quiet', segment_mb => 1,
	conf => "archive_mode = on\narchive_command = '/bin/false'\nautovacuum = off\nmax_wal_size = '1GB'\n");
$pg->start;
$pg->sql("CREATE TABLE t$_ AS SELECT g, repeat('x', 50) FROM generate_series(1, 2000) g; SELECT pg_switch_wal()") for 1 .. 24;
$pg->stop('immediate');
my $data = $pg->pgdata;
my $system_id = run_ok('/usr/lib/postgresql/15/bin/pg_controldata', $data) =~ /system identifier:\s+(\d+)/ ? $1 : die;
my @ready = map { m{([^/]+)\.ready$} } sort glob("$data/pg_wal/archive_status/*.ready");
cmp_ok(scalar @ready, '>=', 24, 'segments wait') or BAIL_OUT('no segments');

my $serial = 0;
my (%repo, %config, $last);
sub object { my ($file) = @_; return "main/$system_id/wal/" . substr($file, 0, 8) . "/$file.zst" }
sub wal_names { my ($repo) = @_; return grep { m{/wal/} } $repo->names }
sub has { my ($repo, $file) = @_; return scalar grep { $_ eq object($file) } $repo->names }
sub down_notes { return map { m{/([^/]+)$} } glob "$data/pg_wal/seawall.spool/push/$system_id/down.*" }

# A directory (main) and a bucket behind the proxy (r1), both registered; nothing noted.  $config{quorum} asks for one of them.
sub fresh
{
	my (%cluster) = @_;
	$proxy->clear;
	$serial++;
	$repo{main} = SeawallTest::Repo->of_kind('file', "main$serial");
	$repo{r1} = SeawallTest::Repo->of_kind('s3', "second$serial", $s3, proxy => $proxy);
	$repo{r1}{settings} = { 'store-deadline' => '10min', 'store-stall-timeout' => '10min' };
	my $write = sub {
		my ($name, $repos, %more) = @_;
		$config{$name} = write_config(path("$name$serial.conf"), repos => $repos,
			cluster => { pgdata => $data, 'pg-host' => path('none'), 'push-grace' => '300ms', %cluster, %more });
	};
	$write->('all', [ @repo{qw(main r1)} ]);
	$write->('quorum', [ @repo{qw(main r1)} ], 'push-quorum' => 1);
	$write->('main', [ $repo{main} ]);
	$write->('r1', [ $repo{r1} ]);
	SeawallTest::remove_tree("$data/pg_wal/seawall.spool");
	$last = seawall('init', { config => $config{all} });
	die SeawallTest::describe($last) if $last->{status} != 0;
	$proxy->clear;
	return;
}

sub push_status
{
	my ($name, $file, @option) = @_;
	$last = push_wal(@option, "pg_wal/$file", { config => $config{$name}, cwd => $data, timeout => 60 });
	return $last->{status} // "signal $last->{signal}";
}

sub fetch_status
{
	my ($name, $file, @option) = @_;
	unlink path('fetched');
	$last = fetch_wal(@option, $file, path('fetched'), { config => $config{$name}, cwd => $data, timeout => 60 });
	return $last->{status} // "signal $last->{signal}";
}

sub identical
{
	my ($name, @files) = @_;
	my @differ = grep { $repo{main}->get(object($_)) ne $repo{r1}->get(object($_)) } @files;
	is("@differ", '', $name);
	return;
}

sub test_all
{
	fresh();
	is(push_status('all', $ready[0], '--push-ahead=5'), 0, 'a file and five that follow, in two repositories') or diag SeawallTest::describe($last);
	is($last->{err}, '', '... in silence');
	is(scalar(wal_names($repo{$_})), 6, "... lie in $_") for qw(main r1);
	identical('... byte for byte the same', @ready[0 .. 5]);

	for my $fault ('status 503', 'status 403 code=AccessDenied')
	{
		fresh();
		$proxy->rule("method=PUT $fault");
		is(push_status('all', $ready[0], '--store-deadline=1s'), 1, "$fault of one repository, and none may be missing");
		like($last->{err}, qr/done in 1 of 2 repositories, and 2 are needed; repository r1: /, '... which is said');
		is_one_line($last->{err}, '... in one line');
		is(scalar(wal_names($repo{main})), 1, '... the file is in the other, those behind it are not');
		is(join(' ', down_notes()), '', '... and nobody is marked as down');
		$proxy->clear;
		is(push_status('all', $ready[0]), 0, '... until it is back');
	}
	return;
}

sub test_quorum
{
	for my $fault ('hang', 'status 503', 'status 403 code=AccessDenied', 'method=PUT hang')
	{
		fresh();
		$proxy->rule($fault);
		is(push_status('quorum', $ready[0], '--push-ahead=5'), 0, "$fault of one repository, and one is enough") or diag SeawallTest::describe($last);
		my @told = $last->{err} =~ /warning: repository r1 is down: /g;
		is(scalar @told, 1, '... which is told once');
		is(scalar(wal_names($repo{main})), 6, '... the file and what follows are there');
		is(scalar(wal_names($repo{r1})), 0, '... and not there');
		is_deeply([ down_notes() ], [ 'down.1' ], '... it is remembered');
		$proxy->tell('forget');
		is(push_status('quorum', $ready[$_]), 0, "... call $_") for 1 .. 5;
		is(push_status('quorum', $ready[6], '--push-ahead=0'), 0, '... and a call that is not answered from the ledger');
		is($last->{err}, '', '... is silent');
		is($proxy->count, 0, '... and waits for nothing');

		# What is remembered is never believed: the other one fails, and there is a second to be had.
		$proxy->clear;
		rename $repo{main}{file}, "$repo{main}{file}.away" or die;
		is(push_status('quorum', $ready[7], '--push-ahead=0'), 0, '... the other fails, and this one is tried before it is time') or diag SeawallTest::describe($last);
		like($last->{err}, qr/repository main is down: .* is not there/, '... the one is down');
		like($last->{err}, qr/repository r1 is up again; 'seawall sync' copies/, '... the other is not any more');
		is_deeply([ down_notes() ], [ 'down.0' ], '... so it is remembered');
		ok(has($repo{r1}, $ready[7]), '... and the file is in it');
		$proxy->rule('status 503');
		is(push_status('quorum', $ready[8], '--push-ahead=0', '--store-deadline=1s'), 1, '... both fail');
		like($last->{err}, qr/done in 0 of 2 repositories, and 1 is needed; repository main: /, '... which is an error');
	}
	return;
}

sub test_never_outvoted
{
	fresh();
	my $other = slurp("$data/pg_wal/$ready[0]");
	substr($other, 30_000, 1) ^= "\x01";
	my $from = SeawallTest::make_dir(path('other'));
	spew("$from/$ready[0]", $other);
	$last = push_wal('--push-validate=off', "$from/$ready[0]", { config => $config{r1}, cwd => $data });
	is($last->{status}, 0, 'another server was first in one repository') or diag SeawallTest::describe($last);
	is(push_status('quorum', $ready[0]), 1, '... that is not outvoted');
	like($last->{err}, qr{$ready[0] is already in s3://\S+ with other content, different from LSN}, '... but told');
	is_one_line($last->{err}, '... in one line');
	is(join(' ', down_notes()), '', '... and the repository is not called down');
	is(scalar(wal_names($repo{main})), 1, '... nothing behind the file is archived');

	fresh();
	is(push_status('quorum', $ready[0], '--push-ahead=0'), 0, 'a repository');
	$repo{r1}->flip(object($ready[0]), -5);
	is(push_status('quorum', $ready[0], '--push-ahead=0'), 1, '... in which the file is damaged is not outvoted');
	like($last->{err}, qr/comparing with it/, '... which is told');
	$repo{r1}->flip("main/$system_id/cluster.json", 4);
	is(push_status('quorum', $ready[1], '--push-ahead=0'), 1, '... nor one whose registration is') or diag SeawallTest::describe($last);
	like($last->{err}, qr{cluster\.json in s3://}, '... which is told');

	is(push_status('quorum', $ready[0], '--push-quorum=3'), 1, 'a quorum of more than there are');
	like($last->{err}, qr/push-quorum is 3, and there are fewer repositories/, '... is a mistake');
	return;
}

# One that was down when the file was noted gets it when it is back, as long as nobody has asked for it.
# What was not waited for, because enough had it, is asked again by who needs it.
sub test_not_waited_for
{
	fresh();
	my $wal = "$repo{main}{file}/main/$system_id";
	chmod 0555, $wal or die "chmod $wal: $!";
	$proxy->rule('delay 600');
	is(push_status('quorum', $ready[0], '--push-ahead=0'), 0, 'the first repository refuses, and a slow second is enough')
		or diag SeawallTest::describe($last);
	chmod 0755, $wal;
	ok(has($repo{r1}, $ready[0]), '... and has it');

	fresh();
	is(push_status('all', $ready[0], '--push-ahead=0'), 0, 'both have a segment');
	SeawallTest::remove_tree("$data/pg_wal/seawall.spool");
	$proxy->rule('method=PUT status 412 code=PreconditionFailed');
	$proxy->rule('method=GET key=/wal/ delay 1500');
	is(push_status('quorum', $ready[0], '--push-ahead=0'), 0, '... and the comparison with the slow one is waited for') or diag SeawallTest::describe($last);

	fresh();
	$proxy->rule('status 503');
	is(push_status('quorum', $ready[0], '--push-ahead=5'), 0, 'archived ahead in one repository');
	$proxy->clear;
	is(push_status('all', $ready[1], '--push-ahead=0'), 0, '... is archived again where both are needed');
	ok(has($repo{r1}, $ready[1]), '... and the other has it then');
	return;
}

# A file system that is not mounted leaves an empty directory.
sub test_gone
{
	fresh();
	my $root = $repo{main}{file};
	rename $root, "$root.away" or die "rename: $!";
	is(push_status('main', $ready[0], '--push-ahead=0'), 1, 'a directory that is not there takes nothing');
	ok(!-e $root, '... and is not made');
	verb('main', 'list');
	is($last->{status}, 1, '... a list says that it failed, not that it was asked wrongly');
	SeawallTest::make_dir($root);
	is(push_status('main', $ready[0], '--push-ahead=0'), 1, '... an empty one takes nothing');
	is(scalar($repo{main}->names), 0, '... and stays empty');
	rmdir $root;
	rename "$root.away", $root or die "rename: $!";
	is(push_status('main', $ready[0], '--push-ahead=0'), 0, '... until it is back');
	return;
}

# What lists alone can tell a human: a hole that nobody will fill, and an archiver that does not run.
sub test_attention
{
	fresh();
	my $aged = sub { my ($ago, @paths) = @_; utime time - $ago, time - $ago, @paths; return };
	my $object = sub { return "$repo{main}{file}/" . object($_[0]) };
	my @status = map { "$data/pg_wal/archive_status/$_.ready" } @ready;
	$aged->(10, @status);
	is(push_status('main', $ready[$_], '--push-ahead=0'), 0, 'a segment') for 0, 2;
	verb('main', 'status');
	unlike($last->{out}, qr/WAL IS MISSING|WAL waits/, 'a hole that was just left, and WAL that waits for seconds, are nothing');
	$aged->(120, map { $object->($ready[$_]) } 0, 2);
	is(verb('main', 'status'), 3, 'a hole that stays needs a human');
	like($last->{out}, qr/^ATTENTION: WAL IS MISSING before $ready[2], /m, '... and is named') or diag $last->{out};
	is(push_status('main', $ready[1], '--push-ahead=0'), 0, 'what was missing');
	verb('main', 'status');
	unlike($last->{out}, qr/WAL IS MISSING/, '... ends it');
	$aged->(600, @status);
	is(verb('main', 'status'), 3, 'WAL that waits for long needs a human, though no failure is known');
	like($last->{out}, qr/^ATTENTION: WAL waits to be archived for 10min/m, '... and it is said for how long') or diag $last->{out};
	$aged->(0, @status);
	return;
}

# A server that was killed leaves its fetch behind, which must not write into what the next one's has brought.
sub test_left_behind
{
	fresh();
	is(push_status('r1', $_, '--push-ahead=0'), 0, 'a segment') for @ready[0, 1];
	my $to = path('fetched');
	unlink $to;
	$proxy->rule("method=GET key=$ready[1] count=1 hang");
	my $child = SeawallTest::spawn(program('seawall-fetch'), $ready[1], $to, { cwd => $data, env => { SEAWALL_CONFIG => $config{r1} } });
	SeawallTest::wait_until('its request', sub { $proxy->faulted && -e "$to.seawall" }, 30);
	my $inode = (stat "$to.seawall")[1];
	is(fetch_status('r1', $ready[0]), 0, 'a fetch to where another still waits');
	isnt((stat $to)[1], $inode, '... has a file of its own');
	kill 'TERM', $child->{pid};
	SeawallTest::reap($child, 30);
	is(slurp($to) eq slurp("$data/pg_wal/$ready[0]"), 1, '... which stays as it is when the other ends');
	return;
}

sub test_ledger
{
	fresh();
	$proxy->rule('hang');
	is(push_status('quorum', $ready[0], '--push-ahead=10'), 0, 'ten files are archived ahead while one repository is down');
	$proxy->clear;
	unlink glob "$data/pg_wal/seawall.spool/push/$system_id/down.*";
	is(push_status('quorum', $ready[11], '--push-ahead=0'), 0, '... one that is none of them, without a ledger, when it is back');
	is(scalar(wal_names($repo{r1})), 1, '... goes there alone');
	is(push_status('quorum', $ready[12], '--push-ahead=1'), 0, '... one with the ledger');
	is(push_status('quorum', $ready[1], '--push-ahead=20'), 0, '... makes that the others are archived again');
	is(scalar(wal_names($repo{r1})), scalar(wal_names($repo{main})) - 1, '... in it too, but for the one that was acknowledged') or diag join "\n", wal_names($repo{r1});
	identical('... the same everywhere', @ready[1 .. 13]);
	return;
}



sub verb
{
	my ($config, @args) = @_;
	$last = seawall(@args, { config => $config{$config}, timeout => 120 });
	return $last->{status} // "signal $last->{signal}";
}
sub told { my ($config, @args) = @_; verb($config, @args, '--json'); return eval { JSON::PP::decode_json($last->{out}) } // {} }
sub same_inventory
{
	my ($name) = @_;
	my %of = map { $_ => [ wal_names($repo{$_}) ] } qw(main r1);
	is("@{ $of{main} }", "@{ $of{r1} }", $name);
	my @differ = grep { $repo{main}->get($_) ne $repo{r1}->get($_) } @{ $of{main} };
	is("@differ", '', '... byte for byte');
	return;
}

# What one repository missed while it was down is told, and paid.
sub test_sync
{
	fresh();
	is(push_status('quorum', $ready[0], '--push-ahead=3'), 0, 'both are there');
	$proxy->rule('hang');
	is(push_status('quorum', $ready[4], '--push-ahead=11'), 0, 'one is down');
	my $status = told('quorum', 'status', '--store-deadline=1s', '--store-stall-timeout=1s');
	is($last->{status}, 3, 'status, while it is') or diag SeawallTest::describe($last);
	my %seen = map { $_->{repo} => $_ } @{ $status->{repositories} };
	ok(!$seen{r1}{reached} && $seen{main}{reached}, '... tells which one cannot be reached');
	like($seen{r1}{down_since} // '', qr/^20\d\d-/, '... and since when the archiver knows');
	ok((grep { /^repository r1/ } @{ $status->{attention} }), '... and that this needs somebody');
	is($status->{queue}{files}, scalar @ready, '... and what waits');

	$proxy->clear;
	my $history = "00000002.history";
	spew("$data/pg_wal/$history", "1\t0/90000000\tno recovery target specified\n");
	is(push_status('main', $history), 0, 'a history that one lacks');
	$status = told('quorum', 'status');
	%seen = map { $_->{repo} => $_ } @{ $status->{repositories} };
	is($seen{r1}{lacks}, 13, 'status, when it is back, tells what it lacks') or diag SeawallTest::describe($last);
	is($seen{main}{lacks}, 0, '... and that the other lacks nothing');
	is($seen{main}{last_wal}, $ready[15], '... and what is the newest there');
	is(verb('quorum', 'status'), 3, '... in words');
	like($last->{out}, qr/^repository r1 [^\n]*: reached\n[^\n]*\n  lacks: 13 WAL objects/m, '... too') or diag $last->{out};
	like($last->{out}, qr/^ATTENTION: repository r1 is down for the archiver since/m, '... and that the archiver takes it for down');

	is(verb('quorum', 'sync', '--dry-run'), 0, 'sync --dry-run');
	like($last->{out}, qr/r1 .*lacks 13 /, '... counts');
	is(scalar(wal_names($repo{r1})), 4, '... and copies nothing');
	$proxy->tell('forget');
	my $done = told('quorum', 'sync');
	is($last->{status}, 0, 'sync') or diag SeawallTest::describe($last);
	my ($r1) = grep { $_->{repo} eq 'r1' } @{ $done->{systems}[0]{repositories} };
	is($r1->{copied}, 13, '... copies what lacks');
	same_inventory('... and the inventories are equal');
	my @puts = grep { /^PUT / } $proxy->requests;
	like($puts[0] // '', qr/\Q$history\E/, '... the history came first');
	$proxy->tell('forget');
	is(verb('quorum', 'sync', '--progress=off'), 0, '... again');
	is($proxy->count('method=PUT'), 0, '... nothing is done');
	like($last->{out}, qr/r1 .*lacked nothing/, '... which is said');
	unlink glob "$data/pg_wal/seawall.spool/push/$system_id/down.*";
	$status = told('quorum', 'status');
	is(join(' ', grep { !/no backup/ } @{ $status->{attention} }), '', 'status has nothing more to say') or diag SeawallTest::describe($last);
	unlink "$data/pg_wal/$history";
	is(verb('main', 'sync'), 0, 'with one repository');
	like($last->{out}, qr/one repository/, '... there is nothing to do');
	return;
}

sub test_sync_damage
{
	fresh();
	is(push_status('main', $ready[0], '--push-ahead=9'), 0, 'ten segments in one repository');
	is(push_status('r1', $ready[10], '--push-ahead=4'), 0, '... and five others in another');
	$repo{main}->flip(object($ready[3]), -200);
	is(verb('all', 'sync'), 3, 'sync, with a damaged object') or diag SeawallTest::describe($last);
	like($last->{err}, qr/$ready[3]\.zst is damaged in file:\S+: /, '... says so');
	like($last->{err}, qr/$ready[3]\.zst is nowhere intact, and was not copied/, '... and does not copy it');
	is(scalar(wal_names($repo{r1})), 14, '... but the others');
	is(scalar(wal_names($repo{main})), 15, '... in both directions');
	identical('... the same everywhere', @ready[0 .. 2, 4 .. 14]);

	# a third one has it intact
	$repo{r2} = SeawallTest::Repo->of_kind('s3', "third$serial", $s3);
	$config{three} = write_config(path("three$serial.conf"), repos => [ @repo{qw(main r1 r2)} ], cluster => { pgdata => $data });
	$last = seawall('init', { config => $config{three} });
	is($last->{status}, 0, 'a third repository') or diag SeawallTest::describe($last);
	my $whole = $repo{main}->get(object($ready[3]));
	substr($whole, -200, 1) ^= "\x01";
	$repo{r2}->replace(object($ready[3]), $whole);
	is(verb('three', 'sync'), 3, '... that has the damaged one intact');
	unlike($last->{err}, qr/nowhere intact/, '... is where it is taken from');
	ok($repo{r1}->get(object($ready[3])) eq $whole, '... whole');
	is(scalar(wal_names($repo{r2})), 15, '... and it gets all that was there before it');

	# contents that differ
	my $from = SeawallTest::make_dir(path('other-sync'));
	my $bytes = slurp("$data/pg_wal/$ready[20]");
	substr($bytes, 30_000, 40_000) = 'x' x 40_000;
	spew("$from/$ready[20]", $bytes);
	is(push_status('main', $ready[20], '--push-ahead=0'), 0, 'a segment');
	$last = push_wal('--push-validate=off', "$from/$ready[20]", { config => $config{r1}, cwd => $data });
	is($last->{status}, 0, '... and another content under its name elsewhere');
	my @before = map { $repo{$_}->get(object($ready[20])) } qw(main r1);
	my $done = told('all', 'sync');
	is($last->{status}, 3, '... are told');
	like($done->{systems}[0]{conflicts}[0]{text} // '', qr/^$ready[20] has other content in \S+ \(from .*\) than in \S+ \(from .*nothing was overwritten/, '... with both origins');
	ok($repo{main}->get(object($ready[20])) eq $before[0] && $repo{r1}->get(object($ready[20])) eq $before[1], '... and left');
	return;
}

# Killed, and one that comes in between.
sub test_sync_kill
{
	fresh();
	is(push_status('main', $ready[0], '--push-ahead=20'), 0, 'twenty-one segments');
	$proxy->rule('method=PUT delay 30');
	for my $round (1 .. 4)
	{
		my $child = spawn(program('seawall'), 'sync', '--config', $config{all}, { cwd => $data });
		wait_until('a copy', sub { $proxy->count('method=PUT') >= 3 * $round }, 30);
		kill 'KILL', -$child->{pid};
		SeawallTest::reap($child);
	}
	my @torn = grep { $repo{r1}->get($_) ne $repo{main}->get($_) } wal_names($repo{r1});
	is("@torn", '', 'what a killed sync leaves is whole');
	$proxy->clear;
	is(verb('all', 'sync', '--workers=4'), 0, '... and the next one ends the work') or diag SeawallTest::describe($last);
	same_inventory('... the inventories are equal');
	$proxy->rule('status 503');
	is(verb('all', 'sync', '--store-deadline=1s'), 1, 'sync, with a repository that is down');
	is_one_line($last->{err}, '... fails in one line');
	return;
}

sub fetched_is { my ($file) = @_; return -e path('fetched') && slurp(path('fetched')) eq slurp("$data/pg_wal/$file") }

# The first repository that has the file intact; absence needs each.
sub test_fetch
{
	fresh('fetch-grace' => '500ms', 'fetch-ahead' => 0, 'fetch-hole-wait' => 0);
	# the one behind the proxy comes first
	$config{first} = write_config(path("first$serial.conf"), repos => [ @repo{qw(r1 main)} ],
		cluster => { pgdata => $data, 'fetch-grace' => '500ms', 'fetch-ahead' => 0, 'fetch-hole-wait' => 0 });
	is(push_status('all', $ready[0], '--push-ahead=9'), 0, 'ten segments in both repositories');
	$proxy->tell('forget');
	is(fetch_status('first', $ready[0]), 0, 'a fetch');
	ok(fetched_is($ready[0]), '... whole');
	is($proxy->count('method=GET'), 1, '... one request to the first repository');

	for my $fault ('hang', 'status 503', 'status 403 code=AccessDenied', 'hang-response 0', 'cut 0')
	{
		$proxy->rule($fault);
		is(fetch_status('first', $ready[1]), 0, "$fault of the first repository: it comes from the second") or diag SeawallTest::describe($last);
		ok(fetched_is($ready[1]), '... whole');
		like($last->{err}, qr/repository main is down: .*; trying the next repository/, '... which is told');
		my $absent = $ready[9] =~ s/..$/F0/r;
		next if $fault =~ /response|cut/;
		is(fetch_status('first', $absent, '--store-deadline=1s', '--store-stall-timeout=1s'), 126, '... what nobody else has is not called absent');
		is_one_line($last->{err}, '... but an error');
	}
	continue { $proxy->clear }
	my $absent = $ready[9] =~ s/..$/F0/r;
	is(fetch_status('first', $absent), 1, 'absent in both is absent');

	# What recovery itself asks for is not waited for again and again.
	$proxy->rule('hang');
	my $recovery = sub {
		my ($file) = @_;
		unlink "$data/pg_wal/RECOVERYXLOG";
		$last = fetch_wal($file, 'pg_wal/RECOVERYXLOG', { config => $config{first}, cwd => $data, timeout => 60 });
		return $last->{status} == 0 && slurp("$data/pg_wal/RECOVERYXLOG") eq slurp("$data/pg_wal/$file");
	};
	ok($recovery->($ready[2]), 'recovery, with the first repository down') or diag SeawallTest::describe($last);
	like($last->{err}, qr/repository main is down/, '... is told once');
	$proxy->tell('forget');
	ok($recovery->($ready[$_]), "... segment $_") for 3 .. 6;
	is($last->{err}, '', '... in silence');
	is($proxy->count, 0, '... and without asking it');
	is(fetch_status('first', $ready[9] =~ s/..$/F0/r, '--store-deadline=1s', '--store-stall-timeout=1s'), 126, '... but without it nothing is absent');
	$proxy->clear;
	unlink glob "$data/pg_wal/seawall.spool/down/*";
	ok($recovery->($ready[7]), '... and back');
	is($proxy->count('method=GET'), 1, '... it is the first again');
	unlink "$data/pg_wal/RECOVERYXLOG";

	# damage and holes in the first
	$repo{r1}->flip(object($ready[3]), -200);
	is(fetch_status('first', $ready[3]), 0, 'a damaged object in the first repository') or diag SeawallTest::describe($last);
	ok(fetched_is($ready[3]), '... is taken from the second, whole');
	like($last->{err}, qr/warning: .*$ready[3]\.zst in s3:.*; trying the next repository/, '... and told');
	$repo{r1}->remove(object($ready[4]));
	is(fetch_status('first', $ready[4]), 0, 'a hole in the first repository') or diag SeawallTest::describe($last);
	ok(fetched_is($ready[4]), '... is filled from the second');
	$repo{main}->remove(object($ready[4]));
	is(fetch_status('first', $ready[4]), 126, '... in both it is a hole');
	like($last->{err}, qr/a hole in the WAL/, '... and called so');
	return;
}

# A server that recovers, with segments fetched ahead, while the first repository is down.
sub test_recovery
{
	my $copy = path('copy');
	my $site_proxy = SeawallTest::Proxy->new($s3);
	my $site = SeawallTest::new_site('recover', kind => 'file', gateway => $s3, segment_mb => 1);
	my $first = SeawallTest::Repo->of_kind('s3', 'recover-first', $s3, proxy => $site_proxy);
	my $server = $site->{pg};
	my $settings = { pgdata => $server->pgdata, 'pg-host' => $server->sockets, 'push-grace' => '300ms', 'push-quorum' => 1 };
	my $both = write_config(path('recover-both.conf'), cluster => $settings, repos => [ $first, $site->{repo} ]);
	my $r = seawall('init', { config => $both });
	is($r->{status}, 0, 'a server with two repositories') or diag SeawallTest::describe($r);
	$server->append_conf("archive_command = '@{[ program('seawall-push') ]} --config $both %p'\n");
	$server->reload;
	run_ok("$server->{bin}/pg_basebackup", '-D', $copy, '-d', $server->conninfo, '-X', 'none', '--no-sync', '-c', 'fast');
	$server->sql("CREATE TABLE r$_ AS SELECT g, repeat('x', 50) FROM generate_series(1, 2000) g; SELECT pg_switch_wal()") for 1 .. 12;
	$server->switch_and_wait;
	my $status = seawall('status', { config => $both });
	is($status->{status}, 3, '... of which status says') or diag SeawallTest::describe($status);
	like($status->{out}, qr/^archiver: last success [0-9A-F]{24} 20/m, '... what the archiver did');
	like($status->{out}, qr/^ATTENTION: there is no backup/m, '... and that there is no backup');
	my $check = seawall('check', { config => $both });
	is(scalar(() = $check->{out} =~ /^ok +WAL into (?:main|r1) and back: /mg), 2, 'check, with both repositories') or diag SeawallTest::describe($check);
	$site_proxy->rule('status 403 code=AccessDenied');
	$check = seawall('check', { config => $both });
	is($check->{status}, 3, '... with one that is down') or diag SeawallTest::describe($check);
	like($check->{out}, qr/^NOT OK  repository main: /m, '... which is told');
	like($check->{out}, qr/^ok +WAL into r1 and back: /m, '... and that the archiver goes on with the other');
	$site_proxy->clear;
	$server->stop;

	$site_proxy->rule('hang');
	my $config = write_config(path('recover-copy.conf'), repos => [ $first, $site->{repo} ],
		cluster => { 'fetch-grace' => '300ms', 'standby-outage-wait' => 0 });
	my $restored = SeawallTest::Cluster->new(name => 'restored', from => $copy);
	$restored->own_settings("archive_mode = off\nrestore_command = '@{[ program('seawall-fetch') ]} --config $config --store-deadline=1s --store-stall-timeout=1s %f %p'\nrecovery_target = ''\n");
	spew("$copy/standby.signal", '');
	$restored->append_conf("hot_standby = on\n");
	$restored->start;
	$restored->wait_for_sql("SELECT count(*) FROM pg_class WHERE relname ~ '^r[0-9]+\$'", 12, 90);
	pass('a copy of it replays all from the second repository while the first hangs');
	my @told = $restored->log_text =~ /repository main is down/g;
	cmp_ok(scalar @told, '<=', 2, '... which is not told for each segment');
	$restored->stop;
	return;
}

test_all();
test_quorum();
test_never_outvoted();
test_not_waited_for();
test_gone();
test_attention();
test_left_behind();
test_ledger();
test_sync();
test_sync_damage();
test_sync_kill();
test_fetch();
test_recovery();
done_testing();
