#!/usr/bin/perl
# The conformance suite of the stores (regress/unit/t_store) on a directory and on a real gateway:
# plain HTTP with an awkward prefix, HTTPS with an authority of its own and the bucket in the host name,
# and a bucket that keeps versions, can lock them, and does not refuse a second put.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

my $regress = abs_path(dirname(__FILE__) . '/..');
my $builddir = $ENV{BUILDDIR} // '.';
my $suite = "$builddir/regress/unit/t_store";
my $dir = tempdir('seawall-010.XXXXXX', DIR => $ENV{SEAWALL_TEST_TMP} // '/tmp', CLEANUP => 1);
my $owner = $$;

die "radosgw is not installed: ./run-tests --packages\n" if system('command -v radosgw >/dev/null 2>&1') != 0;
die "$suite is not built: run make check\n" if !-x $suite;

delete @ENV{ grep { /^(AWS_|SEAWALL_TEST_S3_|(https?|all)_proxy$)/i } keys %ENV };
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 130 };

END
{
	if ($$ == $owner)
	{
		local $?;
		system("bash", "$regress/lib/rgw.sh", 'stop', "$dir/rgw");
	}
}

# The gateway's settings, as it printed them.
sub start_gateway
{
	local $ENV{RGW_BUCKET} = 'plain';
	my $output = `bash $regress/lib/rgw.sh start $dir/rgw`;
	die "the gateway does not start\n" if $? != 0;
	my %env = $output =~ /^(\w+)=(.*)$/mg;
	return \%env;
}

sub curl
{
	my ($gateway, @arguments) = @_;
	my @command = (qw(curl -sf -o /dev/null --noproxy * --max-time 60 --aws-sigv4 aws:amz:us-east-1:s3 -u),
		"$gateway->{S3_ACCESS_KEY}:$gateway->{S3_SECRET_KEY}",
		'-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD', @arguments);
	system(@command) == 0 or die "@command failed\n";
	return;
}

# Run the suite; each of its results is one of ours.
sub conforms
{
	my ($label, %settings) = @_;
	local %ENV = %ENV;
	$ENV{"SEAWALL_TEST_S3_$_"} = $settings{$_} for keys %settings;
	$ENV{SEAWALL_TEST_S3_LABEL} = $label;
	my @lines = `$suite 2>&1`;
	my $status = $?;
	subtest $label => sub {
		my ($count, $planned) = (0, -1);
		for my $line (@lines)
		{
			chomp $line;
			if ($line =~ /^(not )?ok \d+ - (.*)/) { $count++; ok(!$1, $2) }
			elsif ($line =~ /^1\.\.(\d+)/) { $planned = $1 }
			else { note($line) }
		}
		is($planned, $count, 'it ran to its end');
		is($status, 0, 'its status is 0');
	};
	return;
}

conforms('posix');

my $gateway = start_gateway();
my %common = (
	ENDPOINT => $gateway->{S3_ENDPOINT},
	BUCKET => 'plain',
	ACCESS_KEY => $gateway->{S3_ACCESS_KEY},
	SECRET_KEY => $gateway->{S3_SECRET_KEY},
	OTHER_ACCESS_KEY => $gateway->{S3_OTHER_ACCESS_KEY},
	OTHER_SECRET_KEY => $gateway->{S3_OTHER_SECRET_KEY},
);
conforms('plain', %common, PREFIX => "pre fix/with+%41&<\xc3\xa4>");

system("cd $dir && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
	. ' -keyout wrong.key -out wrong.crt -days 2 -subj /CN=wrong >/dev/null 2>&1') == 0
	or die "openssl failed\n";
my ($domain, $port) = @$gateway{qw(S3_VHOST_DOMAIN S3_HTTPS_PORT)};
conforms('tls', %common,
	ENDPOINT => "https://$domain:$port",
	VIRTUAL => 1,
	RESOLVE => "plain.$domain:$port:127.0.0.1",
	CA_FILE => $gateway->{S3_CA_FILE},
	WRONG_CA_FILE => "$dir/wrong.crt",
	HTTPS_ON_HTTP => "https://127.0.0.1:$gateway->{S3_HTTP_PORT}");

curl($gateway, '-X', 'PUT', '-H', 'x-amz-bucket-object-lock-enabled: true', "$gateway->{S3_ENDPOINT}/versioned");
conforms('versioned', %common, BUCKET => 'versioned', VERSIONED => 1, LOCKS => 1);

done_testing();
