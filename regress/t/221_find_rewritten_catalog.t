# seawall find knows relations also when VACUUM FULL gave pg_class another file in an earlier segment.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;

for my $version (versions()) {
	my $site = new_site("rewritten$version", kind => 'file', version => $version, conf => "autovacuum = off\n");
	my ($pg, $repo, $config) = @$site{qw(pg repo config)};
	$pg->sql('CREATE TABLE old AS SELECT 1 AS a');
	is(seawall('backup', '--label', 'one', { config => "$config" })->{status}, 0, "PostgreSQL $version: backup");
	$pg->sql('VACUUM FULL pg_class');
	$pg->switch_and_wait;
	$pg->sql("CREATE TABLE $_ AS SELECT generate_series(1, 1000) AS a") for qw(young kept);
	$pg->sql($_) for 'DROP TABLE young', 'DROP TABLE old', 'TRUNCATE kept';
	$pg->switch_and_wait;
	my $r = seawall('find', { config => "$config" });
	like($r->{out}, qr/$_\b/, $_)
		for 'dropped table postgres.public.young', 'dropped table postgres.public.old', 'truncated table postgres.public.kept';
	$pg->stop;
}
done_testing();
