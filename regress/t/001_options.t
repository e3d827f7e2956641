#!/usr/bin/perl
# The table of options, --help, the manual pages, the sample file, the configuration file, the environment and the
# command line say the same.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $src = $ENV{SRCDIR} // dirname(abs_path($0)) . '/../..';
my $build = $ENV{BUILDDIR} // $src;
my $dir = tempdir(CLEANUP => 1);
delete @ENV{ grep { /^SEAWALL_/ } keys %ENV };

my %program = (push => ['seawall-push'], fetch => ['seawall-fetch']);
$program{$_} = [ 'seawall', $_ ] for qw(init check backup list targets plan find restore sync status log config);
my @commands = sort keys %program;

sub slurp
{
	my ($path) = @_;
	open my $fh, '<', $path or die "$path: $!";
	local $/;
	return scalar <$fh>;
}

sub spew
{
	my ($path, $text) = @_;
	open my $fh, '>', $path or die "$path: $!";
	print $fh $text;
	close $fh or die "$path: $!";
	chmod 0600, $path;
	return $path;
}

# (status, standard output, standard error)
sub run
{
	my ($environment, $program, @args) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		$ENV{$_} = $environment->{$_} for keys %$environment;
		open STDOUT, '>', "$dir/out" or die;
		open STDERR, '>', "$dir/err" or die;
		exec { "$build/$program" } $program, @args or die "$build/$program: $!";
	}
	waitpid $pid, 0;
	return ($? & 127 ? "signal $?" : $? >> 8, slurp("$dir/out"), slurp("$dir/err"));
}

# --- the table ------------------------------------------------------------------

sub fields
{
	my ($text) = @_;
	my @fields = ('');
	while ($text =~ /\G(?:("(?:[^"\\]|\\.)*")|(,)|([^",]+))/gs)
	{
		if (defined $2) { push @fields, ''; }
		else { $fields[-1] .= $1 // $3; }
	}
	s/^\s+|\s+$//g for @fields;
	return @fields;
}

sub unquoted
{
	my ($text) = @_;
	return $text eq 'NULL' ? undef : join '', $text =~ /"((?:[^"\\]|\\.)*)"/g;
}

my @options;
for my $row (slurp("$src/src/config/options.def") =~ /^OPTION\((.*?)\)$/gsm)
{
	my ($id, $name, $scope, $type, $default, $minimum, $maximum, $words, $value, $example, $flags, $short) = fields($row);
	my %flags = map { lc s/^SW_CMD_//r => 1 } split /\s*\|\s*/, $flags;
	push @options, {
		name => unquoted($name), scope => $scope, type => $type, default => unquoted($default),
		minimum => $minimum, maximum => $maximum, words => unquoted($words), example => unquoted($example),
		flags => \%flags,
		takers => [ grep { $flags{all} || $flags{$_} } @commands ],
		in_file => !$flags{only} && $id ne 'CONFIG',
	};
}
cmp_ok(scalar @options, '>', 40, 'the table is read');
is(scalar @options, () = slurp("$src/src/config/options.def") =~ /^OPTION\(/gm, 'every row of it');

sub taken_by
{
	my ($command) = @_;
	return [ sort map { $_->{name} } grep { grep { $_ eq $command } @{ $_->{takers} } } @options ];
}
my @in_file = grep { $_->{in_file} } @options;

# --- help and pages -------------------------------------------------------------

for my $command (@commands)
{
	my ($program, @verb) = @{ $program{$command} };
	my ($status, $out, $err) = run({}, $program, @verb, '--help');
	is($status, 0, "$command --help: status");
	is($err, '', "$command --help: nothing on standard error");
	is_deeply([ sort $out =~ /^  --(?:\[no-\])?([a-z0-9-]+)/gm ], taken_by($command), "$command --help: the table's options");

	my $page = slurp("$build/man/seawall-$command.1");
	is_deeply([ sort $page =~ /^\.It Fl -([a-z0-9-]+)/gm ], taken_by($command), "seawall-$command(1): the table's options");
	for my $section ('NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'ENVIRONMENT', 'FILES', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO')
	{
		like($page, qr/^\.Sh $section$/m, "seawall-$command(1) has $section");
	}
	my ($in_help) = $out =~ /^Exit status:\n(.*?)\n\n/ms;
	my ($in_page) = $page =~ /^\.Sh EXIT STATUS\n(.*?)^\.El/ms;
	is_deeply([ $in_help =~ /^  (\d+) /gm ], [ $in_page =~ /^\.It (\d+)$/gm ], "$command: exit statuses in help and page");
}

my (undef, $overall) = run({}, 'seawall', '--help');
my $overall_page = slurp("$build/man/seawall.1");
for my $command (@commands)
{
	my $shown = @{ $program{$command} } == 2 ? $command : "seawall-$command";
	like($overall, qr/^  \Q$shown\E +\S/m, "seawall --help names $shown");
	like($overall_page, qr/^\.It Xr seawall-$command 1$/m, "seawall(1) names $shown");
}

my $file_page = slurp("$build/man/seawall.conf.5");
is_deeply([ sort $file_page =~ /^\.It Cm (\S+) No = /gm ], [ sort map { $_->{name} } @in_file ],
	"seawall.conf(5): the table's options");

SKIP:
{
	my @pages = glob "$build/man/*.[15]";
	is(scalar @pages, @commands + 2, 'a page for each command, for seawall and for the file');
	skip 'no mandoc', 1 if system('command -v mandoc >/dev/null') != 0;
	is(`mandoc -T lint -W warning @pages 2>&1`, '', 'mandoc has no warnings');
}

# --- the sample file ------------------------------------------------------------

my $sample = slurp("$build/seawall.conf.sample");
is_deeply([ sort $sample =~ /^#([a-z0-9-]+) = /gm ], [ sort map { $_->{name} } @in_file ], "sample: the table's options");

my $path = spew("$dir/sample.conf", $sample);
my ($status, $out, $err) = run({ SEAWALL_CONFIG => $path }, 'seawall', 'config', '--json');
is("$status$err", '0', 'sample: valid as it is');
is_deeply([ grep { $_->{origin} =~ /sample/ } @{ decode_json($out)->{options} } ], [], 'sample: and sets nothing');

spew($path, $sample =~ s/^#(?=[a-z\[])//gmr);
($status, $out, $err) = run({ SEAWALL_CONFIG => $path }, 'seawall', 'config', '--json');
is("$status$err", '0', 'sample: valid without its comment signs');
my %lines;
my $number = 0;
for (split /\n/, slurp($path))
{
	$number++;
	$lines{$1} = $number if /^([a-z0-9-]+) = /;
}
my %shown = map { $_->{name} => $_ } @{ decode_json($out)->{options} };

sub as_text
{
	my ($value) = @_;
	return undef if !defined $value;
	return join ',', @$value if ref $value eq 'ARRAY';
	return JSON::PP::is_bool($value) ? ($value ? 'on' : 'off') : "$value";
}

for my $option (@in_file)
{
	my $name = $option->{name};
	my $want = $option->{flags}{secret} ? '(hidden)' : $option->{default} // $option->{example};
	is(as_text($shown{$name}{value}), $want, "sample: $name has its default or example");
	is($shown{$name}{origin}, "$path:$lines{$name}", "sample: $name comes from its line");
}

# --- file, environment, command line --------------------------------------------

sub another_value
{
	my ($option) = @_;
	my $type = $option->{type};
	return $option->{default} eq 'on' ? 'off' : 'on' if $type eq 'BOOL';
	return $option->{minimum} + 7 if $type eq 'INT';
	return $option->{minimum} . 'B' if $type eq 'SIZE';
	return $option->{maximum} . 'ms' if $type eq 'DURATION';
	return (split /\|/, $option->{words})[-1] if $type eq 'ENUM';
	return '/some/where' if $type eq 'PATH';
	return 'one';
}

sub shown_value
{
	my ($option, $environment, @args) = @_;
	my ($got, $text, $error) = run($environment, 'seawall', 'config', '--json', @args);
	return ("status $got: $error", '') if $got != 0;
	my ($row) = grep { $_->{name} eq $option->{name} && (!defined $_->{of} || $_->{of} eq 'one') } @{ decode_json($text)->{options} };
	return (as_text($row->{value}), $row->{origin}, "$text$error");
}

my %section = (PROGRAM => 'seawall', CLUSTER => 'cluster one', REPO => 'repo one');
for my $option (@in_file)
{
	my ($name, $secret) = ($option->{name}, $option->{flags}{secret});
	my $variable = 'SEAWALL_' . uc $name =~ tr/-/_/r;
	my $value = $secret ? 'hush/KEY+1' : another_value($option);
	my $want = $secret ? '(hidden)' : $value;
	my $empty = spew("$dir/empty.conf", "[seawall]\n[cluster one]\n[repo one]\n");
	my $section = $section{ $option->{scope} };
	my $file = spew("$dir/file.conf", slurp($empty) =~ s/^(\[\Q$section\E\]\n)/$1$name = $value\n/mr);
	my ($line) = grep { (split /\n/, slurp($file))[ $_ - 1 ] =~ /^\Q$name\E = / } 1 .. 4;

	my ($got, $origin, $all) = shown_value($option, { SEAWALL_CONFIG => $file });
	is("$got from $origin", "$want from $file:$line", "$name in the file");
	unlike($all // '', qr/hush/, "$name is not printed") if $secret;

	($got, $origin, $all) = shown_value($option, { SEAWALL_CONFIG => $empty, $variable => $value });
	is("$got from $origin", "$want from environment", "$name as $variable");
	unlike($all // '', qr/hush/, "$variable is not printed") if $secret;

	if ($option->{flags}{never})
	{
		my ($refused, undef, $why) = run({ SEAWALL_CONFIG => $empty }, 'seawall', 'config', "--$name=$value");
		is($refused, 2, "--$name is refused");
		like($why, qr/--$name is not taken on the command line.*$variable/, '... with the way to set it');
		unlike($why, qr/\Q$value\E/, '... and without the value');
	}
	elsif (grep { $_ eq 'config' } @{ $option->{takers} })
	{
		($got, $origin) = shown_value($option, { SEAWALL_CONFIG => $empty }, "--$name=$value");
		is("$got from $origin", "$want from command line", "$name as --$name");
	}
	else
	{
		my ($refused, undef, $why) = run({ SEAWALL_CONFIG => $empty }, 'seawall', 'config', "--$name=$value");
		is($refused, 2, "--$name is not for seawall config");
		for my $taker (@{ $option->{takers} })
		{
			my $title = join ' ', @{ $program{$taker} };
			like($why, qr/belongs to .*\b\Q$title\E\b/, "... but for $title");
		}
	}
}

# --- exit statuses of wrong usage ------------------------------------------------

for my $case ([ push => 1 ], [ fetch => 126 ], map { [ $_ => 2 ] } qw(init check backup list targets plan find restore sync status log config))
{
	my ($command, $want) = @$case;
	my ($program, @verb) = @{ $program{$command} };
	my ($got, $printed, $why) = run({}, $program, @verb, '--verison');
	is($got, $want, "$command: status of a misspelt option");
	is($printed, '', "$command: nothing on standard output");
	like($why, qr/^\Q$program\E: error: unknown option --verison; did you mean --version\?\n\z/, "$command: one line, with the right option");
	($got, undef, $why) = run({ SEAWALL_WROKERS => 2 }, $program, @verb);
	is($got, $want, "$command: status of a misspelt variable");
	like($why, qr/^\Q$program\E: error: .*SEAWALL_WORKERS\?\n\z/, "$command: one line, with the right variable");
}

done_testing();
