# SIGINT and SIGTERM during a backup: the session is closed, nothing visible is left, the status tells.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use SeawallTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $site = new_site('stop', gateway => $s3, proxy => $proxy);
my ($pg, $repo, $config) = @$site{qw(pg repo config)};
$pg->pgbench('-i', '-q', '-s', 5);

my $others = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()};

my $serial = 0;
for my $signal (qw(INT TERM))
{
	# In the checkpoint, in the middle of the packs, and while the last WAL is waited for.
	for my $moment ([ 'before anything is put', 'hang' ], [ 'among the packs', 'method=PUT key=/pack/ skip=1 hang' ],
		[ 'before the manifest', 'method=PUT key=manifest hang' ])
	{
		my ($when, $rule) = @$moment;
		my $label = 'stopped' . ++$serial;
		$proxy->clear;
		$proxy->rule($rule);
		my $child = SeawallTest::spawn(program('seawall'), 'backup', '--label', $label, { env => { SEAWALL_CONFIG => $config } });
		SeawallTest::wait_until('the moment', sub { $proxy->faulted || !SeawallTest::alive($child) }, 60);
		kill $signal, $child->{pid};
		my $start = time;
		my $r = SeawallTest::reap($child, 30);
		cmp_ok(time - $start, '<', 10, "SIG$signal $when: it ends soon");
		ok(($r->{status} // 0) == 1 || $r->{signal} == { INT => 2, TERM => 15 }->{$signal}, '... with status 1 or the signal')
			or diag SeawallTest::describe($r);
		is_one_line($r->{err}, '... in one line');
		$proxy->clear;
		$pg->wait_for_sql($others, '0', 10);
		pass('... no session is left in the server');
		is(scalar(grep { m{/manifest\.zst$} } $repo->names), 0, '... no backup is visible');
		unlike(seawall('list', { config => $config })->{out}, qr/\b$label\b/, '... or listed');
	}
}
my $r = seawall('backup', '--label', 'whole', { config => $config });
is($r->{status}, 0, 'the next backup succeeds') or diag SeawallTest::describe($r);
like(seawall('list', { config => $config })->{out}, qr/\bwhole\b/, '... and is listed');

done_testing();
