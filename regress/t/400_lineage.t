# The lineage: every act on a repository is told, whoever may not write is told so, and what was changed shows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use SeawallTest;
use Test::More;

my $site = new_site('lineage', kind => 'file', version => 15);
my ($pg, $repo, $config) = @$site{qw(pg repo config)};

sub entries
{
	my $r = seawall('log', '--json', @_, { config => $config });
	is($r->{status}, 0, "log @_") or diag SeawallTest::describe($r);
	return @{ decode_json($r->{out})->[0]{systems}[0]{entries} };
}

sub proof
{
	my ($status, $name) = @_;
	my $r = seawall('log', '--verify', { config => $config });
	is($r->{status}, $status, $name) or diag SeawallTest::describe($r);
	return $r->{out};
}

is_deeply([map { "$_->{act} $_->{result}" } entries()], ['init done'], 'a registration is told');

my $r = seawall('backup', '--label', 'one', '--reason', "before the migration", { config => $config });
is($r->{status}, 0, 'a backup with a reason') or diag SeawallTest::describe($r);
$r = seawall('restore', '--backup', 'one', '--pgdata', path('restored'), { config => $config });
is($r->{status}, 0, 'a restore') or diag SeawallTest::describe($r);
$r = seawall('restore', '--backup', 'none', '--pgdata', path('nowhere'), { config => $config });
isnt($r->{status}, 0, 'a plan that cannot be made is no act');
$r = seawall('backup', '--reason', 'x' x 1001, { config => $config });
is($r->{status}, 2, 'a reason that is a book is refused');
is_one_line($r->{err}, '... in one line');

my @told = entries();
is_deeply([map { "$_->{act} $_->{result}" } @told], ['init done', 'backup done', 'restore done'], 'each act is told once');
is($told[1]{reason}, 'before the migration', '... with its reason');
is($told[1]{what}{label}, 'one', '... and what it was about');
is($told[2]{what}{pgdata}, path('restored'), '... and where');
is($told[2]{user}, scalar getpwuid((stat $pg->pgdata)[4]), '... and by whom');

$r = seawall('log', { config => $config });
is($r->{status}, 0, 'log for people');
like($r->{out}, qr/backup  done .*\n.*label one.*\n    why: before the migration\n/, '... shows it')
	or diag $r->{out};
is(scalar entries('--act', 'restore'), 1, 'one kind of act');
is((entries('--limit', 1))[0]{act}, 'restore', 'the newest');
is(scalar entries('--until', '2020-01-01T00:00Z'), 0, 'none of another time');
like(proof(0, 'the lineage is unbroken'), qr/unbroken: 3 entries in 1 chain\n/, '... and says of how much');

# A backup that fails.
$pg->sql("ALTER SYSTEM SET archive_command = 'false'");
$pg->reload;
$r = seawall('backup', '--label', 'two', '--archive-timeout', '2s', { config => $config });
is($r->{status}, 1, 'a backup whose WAL does not arrive fails');
@told = entries();
is("$told[-1]{act} $told[-1]{result}", 'backup failed', '... and is told');
ok(length $told[-1]{error}, '... with the error');
is($told[-1]{what}{label}, 'two', '... and its label');

# Read-only: an entry waits, and is not lost.
my ($entry) = grep { m{/lineage/} } $repo->names;
my ($chain) = $entry =~ m{^(.*)/[^/]+$};
my $dir = "$repo->{file}/$chain";
chmod 0500, $dir or die "chmod $dir: $!";
$r = seawall('restore', '--backup', 'one', '--pgdata', path('again'), { config => $config });
chmod 0700, $dir;
is($r->{status}, 0, 'a restore by who may only read') or diag SeawallTest::describe($r);
like($r->{err}, qr/warning: the lineage in the repository does not tell of this restore yet: .*kept in \S+\.local/,
	'... says that it is not told yet');
is(scalar entries(), 4, '... nor is it');
$r = seawall('restore', '--backup', 'one', '--pgdata', path('third'), { config => $config });
is_deeply([map { $_->{what}{pgdata} =~ s{.*/}{}r . ($_->{spooled} ? ' spooled' : '') } (entries())[4, 5]],
	['again spooled', 'third'], '... until the next act');
proof(0, 'the lineage is unbroken');

# What was changed shows.
my @names = grep { m{/lineage/} } $repo->names;
my $second = $repo->get($names[1]);
$repo->replace($names[1], $second =~ s/migration/m\\u001b[31m/r);
unlike(seawall('log', { config => $config })->{out}, qr/\e/, 'controls that somebody wrote there are not shown');
like(proof(3, 'a changed entry'), qr{broken: \S*/0000000003\.json does not follow}, '... is told by the one behind it');
$repo->replace($names[1], $second);
proof(0, '... and put back is whole');
$repo->remove($names[0]);
like(proof(3, 'a removed entry'), qr{the first: \S*/0000000001\.json is missing}, '... is named');

done_testing();
