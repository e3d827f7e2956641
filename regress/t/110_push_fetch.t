# What seawall-push and seawall-fetch answer, and what they leave behind, on both kinds of store.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;

my $s3 = SeawallTest::Gateway->new;

# A stopped cluster with real WAL: six complete segments of 1 MB, and what a promotion and a backup leave.
my $pg = SeawallTest::Cluster->new(segment_mb => 1, conf => "wal_keep_size = '100MB'\n");
$pg->start;
my @segments = map {
	$pg->sql("CREATE TABLE t$_ AS SELECT g, repeat('x', 50) FROM generate_series(1, 2000) g");
	$pg->sql('SELECT pg_walfile_name(pg_switch_wal())');
} 1 .. 6;
$pg->stop;
my $wal = $pg->pgdata . '/pg_wal';
my $system_id = do {
	my $text = run_ok('/usr/lib/postgresql/15/bin/pg_controldata', $pg->pgdata);
	$text =~ /system identifier:\s+(\d+)/ ? $1 : die $text;
};
my $history = '00000002.history';
my $backup_label = "$segments[0].00000028.backup";
my $partial = "$segments[5].partial";
spew("$wal/$history", "1\t0/3000000\tno recovery target specified\n");
spew("$wal/$backup_label", "START WAL LOCATION: 0/2000028 (file $segments[0])\n");
spew("$wal/$partial", slurp("$wal/$segments[5]"));

# Another server's WAL under the same names.
my $elsewhere = SeawallTest::make_dir(path('elsewhere'));
{
	my $bytes = slurp("$wal/$segments[0]");
	substr($bytes, 100_000, 1) ^= "\x01";
	spew("$elsewhere/$segments[0]", $bytes);
}

sub object { my ($file) = @_; return "main/$system_id/wal/" . substr($file, 0, 8) . "/$file.zst" }

# The status of one run, in PostgreSQL's own circumstances: in the data directory, %p relative.
my $last;
sub status_of
{
	$last = shift;
	return defined $last->{status} ? $last->{status} : "signal $last->{signal}";
}
sub push_status { my ($config, @arg) = @_; return status_of(push_wal(@arg, { config => $config, cwd => $pg->pgdata })) }
sub fetch_status { my ($config, @arg) = @_; return status_of(fetch_wal(@arg, { config => $config, cwd => $pg->pgdata })) }

my $to = 'pg_wal/RECOVERYXLOG';
my $restored = $pg->pgdata . "/$to";
sub nothing_left
{
	my ($name) = @_;
	my @left = glob("$restored*");
	is("@left", '', $name);
	unlink @left;
}
sub refused
{
	my ($got, $want, $words, $name) = @_;
	is($got, $want, $name) or diag SeawallTest::describe($last);
	like($last->{err}, $words, '... and says why');
	is_one_line($last->{err}, '... in one line');
}

sub config_of
{
	my ($name, $repo, %o) = @_;
	return write_config(path("$name.conf"),
		cluster => { pgdata => $pg->pgdata, 'fetch-hole-wait' => '300ms', %{ $o{cluster} // {} } },
		repos => [ ref $repo eq 'ARRAY' ? @$repo : $repo ]);
}

# The same repository, with other options.
sub variant
{
	my ($name, $repo, %settings) = @_;
	my $other = SeawallTest::Repo->new(%$repo);
	$other->{settings} = { 'store-deadline' => '500ms', 'store-connect-timeout' => '500ms', %settings };
	return config_of($name, $other);
}

sub test_round_trip
{
	my ($kind, $repo, $config) = @_;
	for my $file ($segments[0], $history, $backup_label, $partial)
	{
		is(push_status($config, "pg_wal/$file"), 0, "$kind: push of $file") or diag SeawallTest::describe($last);
		is($last->{out}, '', '... prints nothing');
		spew(path('object.zst'), $repo->get(object($file)));
		is(run_ok('/usr/bin/zstd', '-dcq', path('object.zst')), slurp("$wal/$file"), '... and zstd -d gives it back');
		is(push_status($config, "$wal/$file"), 0, '... a second push (absolute path) is success');
		is(fetch_status($config, $file, $to), 0, '... fetch') or diag SeawallTest::describe($last);
		ok(-e $restored && slurp($restored) eq slurp("$wal/$file"), '... gives the same bytes');
		unlink $restored;
		nothing_left('... and leaves nothing else');
	}
	is(fetch_status($config, $segments[3], $to), 1, "$kind: what is proved absent is 1");
	nothing_left('... and nothing is there');
	is(fetch_status($config, '00000009.history', $to), 1, "$kind: so is a history file");
}

sub test_usage
{
	my ($kind, $config) = @_;
	my @case = (
		[ [] ], [ [ 'a', 'b', 'c' ] ], [ [ '--nonsense', 'x', 'y' ], qr/nonsense/ ],
		[ [ 'pg_wal/not-wal', $to ] ], [ [ '../../etc/passwd', $to ] ],
		[ [ '--workers', 'two', 'a', 'b' ] ],
	);
	for my $case (@case)
	{
		my ($arg, $words) = @$case;
		refused(push_status($config, @$arg), 1, $words // qr/./, "$kind: push @$arg");
		refused(fetch_status($config, @$arg), 126, $words // qr/./, "$kind: fetch @$arg");
	}
	refused(fetch_status($config, $segments[0], 'no/such/dir/x'), 126, qr{no/such/dir}, "$kind: fetch to nowhere");
	refused(push_status($config, "pg_wal/$segments[0]x"), 1, qr/./, "$kind: push of a name that is not WAL");
	refused(push_status($config, 'pg_wal/0000000100000000000000FF'), 1, qr/No such file/, "$kind: push of a missing file");
	refused(push_status("$config.none", "pg_wal/$segments[0]"), 1, qr/none/, "$kind: push without its configuration");
	refused(fetch_status("$config.none", $segments[0], $to), 126, qr/none/, "$kind: fetch without its configuration");
}

sub test_conflict
{
	my ($kind, $repo, $config) = @_;
	my $before = $repo->get(object($segments[0]));
	refused(push_status($config, '--push-validate=off', "$elsewhere/$segments[0]"), 1, qr/different from LSN 0\/\w+/,
		"$kind: another content is refused");
	ok($repo->get(object($segments[0])) eq $before, '... and what is there stays');
	is(fetch_status($config, $segments[0], $to), 0, '... and can be fetched');
	unlink $restored;

	my @racers = map { spawn(program('seawall-push'), '--config', $config, $_, { cwd => $pg->pgdata }) }
		("pg_wal/$segments[1]") x 4;
	is(join(' ', map { SeawallTest::reap($_)->{status} } @racers), '0 0 0 0', "$kind: four pushes of one file at once");
	is(fetch_status($config, $segments[1], $to), 0, '... and it is whole');
	ok(slurp($restored) eq slurp("$wal/$segments[1]"), '... and right');
	unlink $restored;
}

sub summary_of
{
	my ($repo, $file) = @_;
	my $object = $repo->get(object($file));
	return JSON::PP->new->decode(substr $object, 8, unpack 'x4V', $object);
}

# Pushes what is damaged, ends early or is not known, and looks at what the summary says.
sub test_validation
{
	my ($kind) = @_;
	my $repo = SeawallTest::Repo->of_kind($kind, 'validate', $s3);
	my $config = config_of("validate-$kind", $repo);
	is(status_of(seawall('init', { config => $config })), 0, "$kind: init") or diag SeawallTest::describe($last);
	my $good = slurp("$wal/$segments[1]");
	my $write = sub { my ($file, $bytes) = @_; spew("$elsewhere/$file", $bytes); return "$elsewhere/$file" };

	my $spoilt = $good;
	substr($spoilt, 100_000, 1) ^= "\x01";
	my $damaged = $write->($segments[1], $spoilt);
	refused(push_status($config, $damaged), 1, qr{damaged at LSN 0/\w+: .*CRC.*push-validate = warn}s, "$kind: damaged WAL is refused");
	ok(!(grep { $_ eq object($segments[1]) } $repo->names), '... and not archived');
	is(push_status($config, '--push-validate=warn', $damaged), 0, '... unless a warning is enough') or diag SeawallTest::describe($last);
	like($last->{err}, qr{warning: $segments[1] is archived, but its WAL is damaged at LSN 0/\w+}, '... which is given');
	is(summary_of($repo, $segments[1])->{wal}{verdict}, 'broken', '... and the summary says it');
	$repo->remove(object($segments[1]));
	is(push_status($config, '--push-validate=off', $damaged), 0, "$kind: or it is not looked at");
	is($last->{err}, '', '... silently');
	is(summary_of($repo, $segments[1])->{wal}, undef, '... and the summary says nothing');
	refused(push_status($config, "pg_wal/$segments[1]"), 1, qr/different from LSN/, '... the right one is another content then');
	$repo->remove(object($segments[1]));

	my $new = $good;
	substr($new, $_ * 8192, 2) = pack 'v', 0xD1FF for 0 .. 127;
	is(push_status($config, $write->($segments[1], $new)), 0, "$kind: WAL of an unknown format is archived");
	like($last->{err}, qr/warning: $segments[1] is archived without having been read: .*D1FF/, '... with a warning');
	$repo->remove(object($segments[1]));

	my $early = $good;
	substr($early, 65536) = "\0" x (length($early) - 65536);
	is(push_status($config, $write->($segments[1], $early)), 0, "$kind: an unfinished segment of a cascaded standby is archived");
	like($last->{err}, qr{warning: .* ends at LSN 0/\w+}, '... with a warning');
	is(push_status($config, $write->("$segments[1].partial", $early)), 0, "$kind: and a partial one");
	is($last->{err}, '', '... without');
	is(summary_of($repo, "$segments[1].partial")->{wal}{verdict}, 'ends early', '... though it is told');

	is(push_status($config, "pg_wal/$segments[2]"), 0, "$kind: a sound segment");
	my $says = summary_of($repo, $segments[2]);
	is($says->{wal}{verdict}, 'complete', '... is said to be one');
	is($says->{wal}{start}, $says->{start_lsn}, '... from its start');
	my @born = map { @$_[6] } map { @{ $_->{born} // [] } } @{ $says->{wal}{acts} };
	ok((grep { $_ eq 't3' } @born), '... where a table was made') or diag "@born";
	is(push_status($config, '--push-validate=off', "pg_wal/$segments[2]"), 0, '... the same content with another summary is success');
	like($last->{err}, qr/already archived/, '... because it is there');
	is(fetch_status($config, $segments[2], $to), 0, '... and it can be fetched');
	ok(slurp($restored) eq slurp("$wal/$segments[2]"), '... right');
	unlink $restored;
}

sub test_hole
{
	my ($kind, $repo, $config) = @_;
	is(push_status($config, "pg_wal/$segments[4]"), 0, "$kind: a later segment");
	refused(fetch_status($config, $segments[2], $to), 126, qr/$segments[2].*hole/, "$kind: a hole is not the end of WAL");
	nothing_left('... and nothing is there');
	my $patient = config_of("patient-$kind", $repo, cluster => { 'fetch-hole-wait' => '20s' });
	my $fetch = spawn(program('seawall-fetch'), '--config', $patient, $segments[2], $to, { cwd => $pg->pgdata });
	Time::HiRes::sleep(0.5);
	ok(SeawallTest::alive($fetch), "$kind: a hole is waited for");
	push_status($config, "pg_wal/$segments[2]");
	is(status_of(SeawallTest::reap($fetch, 20)), 0, '... until it is filled') or diag SeawallTest::describe($last);
	unlink $restored;
	$fetch = spawn(program('seawall-fetch'), '--config', $patient, $segments[3], $to, { cwd => $pg->pgdata });
	Time::HiRes::sleep(0.5);
	kill 'TERM', $fetch->{pid};
	is(status_of(SeawallTest::reap($fetch, 20)), 'signal 15', "$kind: SIGTERM ends a fetch by the signal");
	nothing_left('... and nothing is there');
}

sub test_damage
{
	my ($kind, $repo, $config) = @_;
	my $name = object($segments[2]);
	my $good = $repo->get($name);
	my @case = (
		[ 'a flipped bit in the middle', sub { my $b = $good; substr($b, length($b) / 2, 1) ^= "\x04"; $b } ],
		[ 'a flipped bit at the start', sub { my $b = $good; substr($b, 2, 1) ^= "\x04"; $b } ],
		[ 'a flipped bit in the checksum', sub { my $b = $good; substr($b, -1, 1) ^= "\x04"; $b } ],
		[ 'a tail cut off', sub { substr $good, 0, length($good) - 10 } ],
		[ 'half of it', sub { substr $good, 0, length($good) / 2 } ],
		[ 'nothing in it', sub { '' } ],
		[ 'something behind it', sub { "${good}x" } ],
		[ 'garbage', sub { 'garbage' x 1000 } ],
		[ 'another segment', sub { $repo->get(object($segments[0])) } ],
	);
	for my $case (@case)
	{
		my ($what, $make) = @$case;
		$repo->replace($name, $make->());
		refused(fetch_status($config, $segments[2], $to), 126, qr/$segments[2]/, "$kind: an object with $what");
		nothing_left('... gives nothing');
	}
	spew($pg->pgdata . '/standby.signal', '');
	is(fetch_status($config, $segments[2], $to), 1, "$kind: a standby goes on, it may stream it");
	like($last->{err}, qr/error: .*$segments[2]/, '... but loudly');
	unlink $pg->pgdata . '/standby.signal';
	refused(push_status($config, "pg_wal/$segments[2]"), 1, qr/./, "$kind: pushing over a damaged object");
	$repo->replace($name, $good);
	is(fetch_status($config, $segments[2], $to), 0, "$kind: the mended object");
	unlink $restored;
}

sub test_unreachable
{
	my ($kind, $repo) = @_;
	my %how = $kind eq 'file'
		? (
			'a repository that is not there' => [ 'repo-url' => 'file:///nonexistent/repo' ],
			'an empty directory' => [ 'repo-url' => 'file://' . SeawallTest::make_dir(path('empty')) ],
		)
		: (
			'no server at the port' => [ 's3-endpoint' => 'http://127.0.0.1:1' ],
			'no such host' => [ 's3-endpoint' => 'http://nowhere.invalid' ],
			'a wrong secret' => [ 's3-secret-key' => 'x' ],
			'an unknown key' => [ 's3-access-key' => 'NOBODY' ],
			'a wrong bucket' => [ 'repo-url' => 's3://nobucket/x' ],
			'a wrong prefix' => [ 'repo-url' => "s3://$repo->{bucket}/elsewhere" ],
			'a wrong CA' => [ 's3-ca-file' => wrong_ca() ],
			'a foreign key' => [
				's3-access-key' => $s3->env('S3_OTHER_ACCESS_KEY'), 's3-secret-key' => $s3->env('S3_OTHER_SECRET_KEY')
			],
		);
	for my $what (sort keys %how)
	{
		my $config = variant("bad-$kind", $repo, @{ $how{$what} });
		refused(push_status($config, "pg_wal/$segments[5]"), 1, qr/./, "$kind: push, $what");
		refused(fetch_status($config, $segments[0], $to), 126, qr/./, "$kind: fetch, $what");
		unlike($last->{err}, qr/\Q@{[ $s3->env('S3_SECRET_KEY') ]}\E/, '... without telling the secret');
		nothing_left('... and nothing is there');
	}
}

sub wrong_ca
{
	my $file = path('wrong-ca.crt');
	run_ok('/usr/bin/openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
		'-keyout', path('wrong-ca.key'), '-out', $file, '-subj', '/CN=wrong', '-days', '2') unless -e $file;
	return $file;
}

for my $kind (qw(file s3))
{
	my $repo = SeawallTest::Repo->of_kind($kind, 'push', $s3);
	my $config = config_of($kind, $repo);
	refused(push_status($config, "pg_wal/$segments[0]"), 1, qr/seawall init/, "$kind: push before init");
	refused(fetch_status($config, $segments[0], $to), 126, qr/seawall init/, "$kind: fetch before init");
	is(status_of(seawall('init', { config => $config })), 0, "$kind: init") or diag SeawallTest::describe($last);
	test_round_trip($kind, $repo, $config);
	test_usage($kind, $config);
	test_conflict($kind, $repo, $config);
	test_hole($kind, $repo, $config);
	test_validation($kind);
	test_damage($kind, $repo, $config);
	test_unreachable($kind, $repo);
}

# A bucket that keeps versions and refuses nothing: the oldest one counts.
{
	my $repo = SeawallTest::Repo->of_kind('s3', 'versioned', $s3, versioned => 1);
	my $config = config_of('versioned', $repo);
	is(status_of(seawall('init', { config => $config })), 0, 'versioned bucket: init') or diag SeawallTest::describe($last);
	is(push_status($config, "pg_wal/$segments[0]"), 0, '... push') or diag SeawallTest::describe($last);
	is(push_status($config, "pg_wal/$segments[0]"), 0, '... again');
	refused(push_status($config, '--push-validate=warn', "$elsewhere/$segments[0]"), 1, qr/different from LSN/, '... another content is refused');
	$repo->replace(object($segments[0]), 'a foreign hand');
	is(fetch_status($config, $segments[0], $to), 0, '... and what came first is fetched') or diag SeawallTest::describe($last);
	ok(slurp($restored) eq slurp("$wal/$segments[0]"), '... with its bytes');
	unlink $restored;
	$repo->remove(object($segments[0]));
	is(fetch_status($config, $segments[0], $to), 0, '... even behind a delete marker') or diag SeawallTest::describe($last);
	unlink $restored;

	# The registration as well, which says what the bucket enforces.
	my $registration = "main/$system_id/cluster.json";
	my $forged = $repo->get($registration) =~ s/"put_if_absent": false/"put_if_absent": true/r;
	for (
		[ 'a forged registration', sub { $repo->replace($registration, $forged) } ],
		[ 'a damaged one', sub { $repo->replace($registration, '{') } ],
		[ 'one behind a delete marker', sub { $repo->remove($registration) } ])
	{
		my ($name, $hide) = @$_;
		$hide->();
		is(push_status($config, "pg_wal/$segments[0]"), 0, "... $name over the first: push")
			or diag SeawallTest::describe($last);
		is(fetch_status($config, $segments[0], $to), 0, '... fetch') or diag SeawallTest::describe($last);
		unlink $restored;
		is(fetch_status($config, $segments[3], $to), 1, '... and absence') or diag SeawallTest::describe($last);
		my $init = status_of(seawall('init', { config => $config }));
		like("$init $last->{out}$last->{err}", qr/^0 .*is registered since.*oldest|^1 .*cluster\.json is already there/s,
			'... and init does not register again');
	}
}

# Two repositories: 0 is said only for both.
{
	my $first = SeawallTest::Repo->of_kind('file', 'two', $s3);
	my $second = SeawallTest::Repo->of_kind('s3', 'two', $s3);
	my $both = config_of('both', [ $first, $second ]);
	is(status_of(seawall('init', { config => $both })), 0, 'two repositories: init');
	is(push_status($both, "pg_wal/$segments[0]"), 0, '... push');
	ok($first->get(object($segments[0])) eq $second->get(object($segments[0])), '... the same object in both');
	rename $first->{file}, "$first->{file}.away" or die;
	refused(push_status($both, "pg_wal/$segments[1]"), 1, qr/repo-two/, '... one is away: push fails');
	ok((grep { $_ eq object($segments[1]) } $second->names), '... but the other has the segment');
	ok(fetch_status($both, $segments[0], $to) == 0 && -e $restored, '... fetch takes the other');
	unlink $restored;
	refused(fetch_status($both, $segments[3], $to), 126, qr/./, '... but proves nothing absent');
	rename "$first->{file}.away", $first->{file} or die;
	is(push_status($both, "pg_wal/$segments[1]"), 0, '... and when it is back, push succeeds');
}

# A standby waits for an outage to end, then says "not there".
{
	my $repo = SeawallTest::Repo->of_kind('s3', 'standby', $s3);
	$repo->{settings} = { 's3-endpoint' => 'http://127.0.0.1:1', 'store-deadline' => '100ms' };
	my $config = config_of('standby', $repo, cluster => { 'standby-outage-wait' => '2s' });
	spew($pg->pgdata . '/standby.signal', '');
	is(fetch_status($config, $segments[0], $to), 1, 'a standby in an outage');
	cmp_ok($last->{seconds}, '>=', 2, '... after waiting');
	like($last->{err}, qr/error: /, '... loudly');
	unlink $pg->pgdata . '/standby.signal';
}

# A directory that may not be written or read.
{
	my $repo = SeawallTest::Repo->of_kind('file', 'readonly', $s3);
	my $config = config_of('readonly', $repo);
	seawall('init', { config => $config });
	push_status($config, "pg_wal/$segments[0]");
	run_ok('/bin/chmod', '-R', 'a-w', $repo->{file});
	refused(push_status($config, "pg_wal/$segments[1]"), 1, qr/Permission denied/, 'a repository that is read-only');
	is(fetch_status($config, $segments[0], $to), 0, '... can be fetched from');
	unlink $restored;
	run_ok('/usr/bin/find', "$repo->{file}/main", '-type', 'f', '-exec', 'chmod', 'a-r', '{}', '+');
	refused(fetch_status($config, $segments[0], $to), 126, qr/Permission denied/, 'an unreadable repository');
	run_ok('/bin/chmod', '-R', 'u+rwX', $repo->{file});
}

# Every size that initdb allows.
{
	my $repo = SeawallTest::Repo->of_kind('s3', 'sizes', $s3);
	for my $mb (map { 1 << $_ } 0 .. 10)
	{
		my $sized = SeawallTest::Cluster->new(name => "size$mb", segment_mb => $mb);
		my $dir = $sized->pgdata;
		my $config = write_config(path('size.conf'), cluster => { pgdata => $dir }, repos => [$repo]);
		my ($file) = map { m{/([0-9A-F]{24})$} } glob("$dir/pg_wal/*");
		my $done = status_of(seawall('init', '--upgrade', { config => $config }));
		is($done, 0, "segments of $mb MB: init") or diag SeawallTest::describe($last);
		is(status_of(push_wal("pg_wal/$file", { config => $config, cwd => $dir })), 0, '... push')
			or diag SeawallTest::describe($last);
		is(status_of(fetch_wal($file, 'pg_wal/RECOVERYXLOG', { config => $config, cwd => $dir })), 0, '... fetch')
			or diag SeawallTest::describe($last);
		is(status_of(run('/usr/bin/cmp', "$dir/pg_wal/$file", "$dir/pg_wal/RECOVERYXLOG")), 0, '... the same bytes');
		SeawallTest::remove_tree($dir);
	}
}

done_testing();
