# What lies in and around a data directory: files that a backup keeps, gives back, or refuses before it begins.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;

my $site = new_site('files', kind => 'file');
my ($pg, $repo, $config) = @$site{qw(pg repo config)};
my $data = $pg->pgdata;
my $outside = SeawallTest::make_dir(path('outside'));
SeawallTest::spew("$outside/extra.conf", "seawall.one = 1\n");
SeawallTest::spew("$outside/memory.conf", "work_mem = '5MB'\n");
(my $odd = "$outside/extra.conf") =~ s{/extra}{//./extra};
my $inside = "$data//./inside.conf";
SeawallTest::spew("$data/inside.conf", "seawall.two = 2\n");
SeawallTest::append("$data/postgresql.conf", "include '$odd'\ninclude '$outside/extra.conf'\ninclude '$outside/memory.conf'\n"
	. "include '$inside'\n");
$pg->reload;
$pg->wait_for_sql("SELECT count(*) > 1 FROM pg_file_settings WHERE sourcefile LIKE '%//%'", 't', 10);

my $r = seawall('backup', '--label', 'odd', { config => $config });
is($r->{status}, 0, 'configuration that is included under odd paths is backed up') or diag SeawallTest::describe($r);
$r = seawall('restore', '--backup', 'odd', '--pgdata', path('odd'), { config => $config });
is($r->{status}, 0, '... and restored') or diag SeawallTest::describe($r);
is(SeawallTest::slurp(path('odd') . "/seawall_outside_config$outside/extra.conf"), "seawall.one = 1\n",
	'... what was outside beside the rest');
is(SeawallTest::slurp(path('odd') . '/inside.conf'), "seawall.two = 2\n", '... what was inside in its place');

# The role that the documents ask for, and no more.
$pg->sql('CREATE ROLE keeper LOGIN IN ROLE pg_read_all_settings; GRANT EXECUTE ON FUNCTION '
	. 'pg_backup_start(text, boolean), pg_backup_stop(boolean) TO keeper');
$r = seawall('backup', '--label', 'keeper', '--pg-user=keeper', { config => $config });
is($r->{status}, 0, 'a role without the right to pg_file_settings makes backups') or diag SeawallTest::describe($r);
like($r->{err}, qr/warning: .*GRANT SELECT ON pg_file_settings/, '... and hears what it cannot know');
$r = seawall('restore', '--backup', 'keeper', '--pgdata', path('keeper'), { config => $config });
is($r->{status}, 0, '... which can be restored') or diag SeawallTest::describe($r);
is(SeawallTest::slurp(path('keeper') . "/seawall_outside_config$outside/memory.conf"), "work_mem = '5MB'\n",
	'... with the configuration that is in effect');

SeawallTest::spew("$data/m\xfcller.txt", 'x');
$r = seawall('backup', '--label', 'latin', { config => $config });
is($r->{status}, 1, 'a name that is not UTF-8 fails a backup');
is_one_line($r->{err}, '... in one line');
like($r->{err}, qr/m\\xfcller\.txt.*rename or remove/s, '... which shows the name and says what to do');
is(scalar(grep { m{/latin/} } $repo->names), 0, '... before anything is stored');
unlink "$data/m\xfcller.txt";
$r = seawall('backup', '--label', 'again', { config => $config });
is($r->{status}, 0, '... and once it is gone the next succeeds') or diag SeawallTest::describe($r);

my @before = sort $repo->names;
$r = seawall('backup', '--label', 'again', { config => $config });
is($r->{status}, 2, 'a label is used once, also when its backup has ended well');
is_one_line($r->{err}, '... in one line');
like($r->{err}, qr/labelled again.*another --label/, '... which says what to do');
is_deeply([sort $repo->names], \@before, '... and nothing is left in the repository');

# A copy must not overwrite, and at its end remove, the original's pid file.
SeawallTest::spew("$data/postgresql.conf", SeawallTest::slurp("$data/postgresql.conf") . "external_pid_file = '/run/original.pid'\n");
$r = seawall('backup', '--label', 'pid', { config => $config });
$r = seawall('restore', '--backup', 'pid', '--pgdata', path('pid'), { config => $config });
is($r->{status}, 0, 'a cluster with a pid file elsewhere is restored') or diag SeawallTest::describe($r);
like($r->{out}, qr/pg_ctl -D \S+ start -o ".*-c external_pid_file=/, '... and the line to start it spares that file');

SKIP: {
	skip 'only root can act as root', 2 if $> != 0;
	local $ENV{SEAWALL_CONFIG} = $config;
	my $said = `@{[program('seawall')]} init 2>&1`;
	is($? >> 8, 2, 'init by root into a directory is refused');
	like($said, qr/run 'seawall init' as the PostgreSQL user/, '... and says who should do it');
}

done_testing();
