# Several repositories: what is acknowledged while one is down, what is not; and how it is paid.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
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

test_all();
test_quorum();
test_never_outvoted();
test_ledger();
done_testing();
