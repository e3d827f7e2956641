# The tools that the other tests trust: servers of every version, the gateway, the fault proxy.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use SeawallTest;
use Test::More;
use Time::HiRes qw(time);

for my $version (versions())
{
	my $pg = SeawallTest::Cluster->new(version => $version, segment_mb => 1);
	$pg->start;
	like($pg->sql('SHOW server_version'), qr/^$version\./, "PostgreSQL $version answers");
	is($pg->sql("SHOW wal_segment_size"), '1MB', '... with the segments that were asked for');
	is($pg->amcheck, '', '... and pg_amcheck has nothing to say');
	$pg->kill9;
	is($pg->pid, undef, '... and dies when killed');
	$pg->start;
	$pg->stop;
}

my $s3 = SeawallTest::Gateway->new;
my $proxy = SeawallTest::Proxy->new($s3);
my $repo = SeawallTest::Repo->new(gateway => $s3, bucket => $s3->bucket('plain'));
my $versioned = SeawallTest::Repo->new(gateway => $s3, bucket => $s3->bucket('versions', versioned => 1));

my $body = join '', map { chr($_ % 251) } 1 .. 300_000;
$repo->replace('a/object', $body);
ok($repo->get('a/object') eq $body, 'an object comes back');
$repo->replace("many/$_", $_) for 1 .. 3;
is_deeply([ $repo->names ], [ 'a/object', map { "many/$_" } 1 .. 3 ], 'objects are listed');
$repo->flip('a/object', -1);
ok($repo->get('a/object') ne $body, 'a flipped bit is another object');
$repo->remove('a/object');
is(scalar $repo->names, 3, 'an object is deleted');
$versioned->replace('x', $_) for 1, 2;
like($s3->request_ok('GET', '/versions', 'versions='), qr/(<Version>.*){2}/s, 'a versioned bucket keeps both');

# What a plain client sees through the proxy.  The bucket is open to all.
$s3->request_ok('PUT', '/plain', 'policy=', '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
	. '"Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::plain","arn:aws:s3:::plain/*"]}]}');
my $base = 'http://127.0.0.1:' . $proxy->port . '/plain';
my $http = HTTP::Tiny->new(timeout => 2);
sub get { return $http->get("$base/object") }
is($http->put("$base/object", { content => $body })->{status}, 200, 'a request goes through the proxy');
ok(get()->{content} eq $body, '... and its answer');
is($proxy->count('method=PUT key=/object'), 1, '... and is counted');

my @fault = (
	[ 'count=1 status 503 retry-after=7', sub { $_->{status} == 503 && $_->{headers}{'retry-after'} == 7 }, 'a status' ],
	[ 'count=1 status 403 code=RequestTimeTooSkewed', sub { $_->{content} =~ /<Code>RequestTimeTooSkewed</ }, 'a code' ],
	[ 'count=1 reset-response 1000', sub { $_->{status} == 599 }, 'a reset' ],
	[ 'cut 1000', sub { $_->{status} == 599 }, 'an answer cut short' ],
	[ 'count=1 flip 100000', sub { $_->{status} == 200 && $_->{content} ne $body && length $_->{content} == 300_000 }, 'a flipped byte' ],
	[ 'count=1 flip -1', sub { substr($_->{content}, -1) ne substr($body, -1) && substr($_->{content}, 0, -1) eq substr($body, 0, -1) }, 'a flipped last byte' ],
	[ 'count=1 hang', sub { $_->{status} == 599 && $_->{content} =~ /timed out/i }, 'a hanging server' ],
	[ 'count=1 hang-response 10', sub { $_->{status} == 599 && $_->{content} =~ /timed out/i }, 'an answer that stalls' ],
	[ 'count=1 drop-answer', sub { $_->{status} == 599 }, 'an answer lost' ],
);
# (HTTP::Tiny repeats a GET whose answer ends early, so "cut" has no count.)
for my $case (@fault)
{
	my ($rule, $sees, $name) = @$case;
	$proxy->rule("method=GET key=/object $rule");
	local $_ = get();
	ok($sees->(), $name) or diag explain $_;
	ok($proxy->faulted, '... is noted');
	$proxy->clear;
	ok(get()->{content} eq $body, '... and over');
	$proxy->tell('forget');
}
$proxy->rule('method=PUT reset-request 1000');
is($http->put("$base/cut", { content => $body })->{status}, 599, 'a request cut off');
is($http->get("$base/cut")->{status}, 404, '... stores nothing');
$proxy->clear;
$proxy->rule('method=PUT drop-answer');
is($http->put("$base/ambiguous", { content => $body })->{status}, 599, 'a PUT without its answer');
is($http->get("$base/ambiguous")->{status}, 200, '... is stored');
$proxy->clear;
$proxy->rule('skip=2 count=1 status 503');
is(join(' ', map { get()->{status} } 1 .. 4), '200 200 503 200', 'the third request and no other');
$proxy->clear;
$proxy->tell('seed 1');
$proxy->rule('probability=0.5 status 503');
my $bad = grep { get()->{status} == 503 } 1 .. 40;
ok($bad > 5 && $bad < 35, 'some of many');

my $r = run('/bin/sh', '-c', 'kill -TERM $$');
is_deeply([ $r->{status}, $r->{signal} ], [ undef, 15 ], 'a death by signal is told from a status');
$r = run('/bin/sleep', 60, { timeout => 0.2 });
ok($r->{timed_out}, 'a program that takes too long is ended');
isnt(run('/usr/bin/id', '-u')->{out}, "0\n", 'programs do not run as root');

done_testing();
