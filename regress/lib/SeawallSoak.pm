# SeawallSoak - a primary under load, whose every archived file is kept aside too, so that what comes back can be compared.
package SeawallSoak;

use strict;
use warnings;
use Exporter qw(import);
use SeawallTest;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(soak_seed wrapped queue_of drained load_on running_load fetched_back same_rows);

# Of SEAWALL_TEST_SEED, or another each time; told, so that a run can be repeated.
sub soak_seed
{
	my $seed = $ENV{SEAWALL_TEST_SEED} // (time ^ $$);
	$seed = int($seed) & 0x7fffffff;
	srand $seed;
	Test::More::diag("seed $seed (SEAWALL_TEST_SEED)");
	return $seed;
}

# wrapped(aside => DIR, kill => P, within => SECONDS, COMMAND...): the words of a command for PostgreSQL that first
# copies the file (the last word) to DIR, then runs COMMAND, and with probability P kills it -9 within that time.
# A killed one answers 1.
sub wrapped
{
	my (%o) = @{ shift() };
	my $script = path('wrap');
	if (!-e $script)
	{
		spew($script, <<'SCRIPT');
#!/usr/bin/perl
use strict;
use warnings;
use File::Copy ();
use Time::HiRes qw(sleep);
my ($aside, $odds, $within, $seed, @command) = @ARGV;
srand($seed ^ $$);
my ($name) = $command[-1] =~ m{([^/]+)$};
if ($aside ne '-' && !-e "$aside/$name")
{
	my $copy = "$aside/.$name.$$";
	File::Copy::copy($command[-1], $copy) or die "copying $command[-1]: $!\n";
	link $copy, "$aside/$name";
	unlink $copy;
}
exec @command if rand() >= $odds;
my $pid = fork // die "fork: $!\n";
exec @command if $pid == 0;
sleep rand $within;
kill 'KILL', $pid;
waitpid $pid, 0;
exit(($? & 127) ? 1 : $? >> 8);
SCRIPT
		chmod 0755, $script;
	}
	return join ' ', $script, $o{aside} // '-', $o{kill} // 0, $o{within} // 0.1, $o{seed} // 1, @_;
}

sub queue_of { my ($server) = @_; return scalar(() = glob $server->pgdata . '/pg_wal/archive_status/*.ready') }

# Finish the segment and wait until nothing waits for the archiver.
sub drained
{
	my ($server, $timeout) = @_;
	my $end = time + ($timeout // 240);
	while (1)
	{
		# an archiver that has given up for a minute is woken by a new segment
		$server->sql("SELECT pg_logical_emit_message(true, '', 'more'); SELECT pg_switch_wal()");
		my $until = time + 5;
		while (time < $until)
		{
			return 1 if queue_of($server) == 0;
			sleep 0.1;
		}
		return 0 if time > $end;
	}
}

sub load_on { my ($server, @option) = @_; return spawn($server->pgbench_command('-n', @option)) }
# The same, or another in its place if it has ended.
sub running_load
{
	my ($load, $server, @option) = @_;
	return $load if $load && SeawallTest::alive($load);
	SeawallTest::reap($load) if $load;
	return load_on($server, @option);
}

sub same_rows
{
	my ($server) = @_;
	my $r = $server->sql_result('SELECT sum(abalance), (SELECT count(*) FROM pgbench_history), (SELECT sum(delta) FROM pgbench_history) FROM pgbench_accounts');
	chomp(my $rows = $r->{out});
	return $rows ne '' ? $rows : "none from $server->{name}";
}

# Everything that was kept aside, fetched and compared: {count, lost => [...], different => [...], tries}.  Each fetch may
# fail with 126, leaving nothing, and is done again, at most `tries` times.
sub fetched_back
{
	my ($aside, $config, $pgdata, $tries) = @_;
	my @names = sort grep { /^[0-9A-F]/ } map { m{([^/]+)$} } glob "$aside/*";
	my $back = path('back');
	SeawallTest::remove_tree($back);
	SeawallTest::make_dir($back);
	my $script = spew(path('fetch-one'), <<"SCRIPT");
for try in \$(seq ${\($tries // 1)}); do
	status=0
	'${\program('seawall-fetch')}' --config '$config' --log-level=error "\$1" "$back/\$1" 2>>'$back.err' || status=\$?
	[ \$status = 0 ] && { echo "ok \$try"; exit 0; }
	[ ! -e "$back/\$1" ] || { echo "wrong \$1: something is there after status \$status"; exit 0; }
	[ \$status = 126 ] || { echo "wrong \$1: status \$status"; exit 0; }
done
echo "lost \$1"
SCRIPT
	spew("$back.err", '');
	my $said = run_ok('/usr/bin/xargs', '-P', 3, '-n', 1, '/bin/sh', $script,
		{ stdin => join("\n", @names) . "\n", cwd => $pgdata, timeout => 900 });
	my %result = (count => scalar @names, lost => [ $said =~ /^lost (\S+)$/mg ], wrong => [ $said =~ /^wrong (.*)$/mg ], different => [], tries => 0);
	$result{tries} += $_ for $said =~ /^ok (\d+)$/mg;
	for my $name (@names)
	{
		next unless -e "$back/$name";
		push @{ $result{different} }, $name if slurp("$back/$name") ne slurp("$aside/$name");
	}
	return \%result;
}

1;
