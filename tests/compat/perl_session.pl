# Sys::Virt on a daemon: what a Perl program does with a guest, and what it is told meanwhile. Prints lines.
use strict;
use warnings;
use Sys::Virt;
use Sys::Virt::Domain;
use Sys::Virt::Event;

my ($driver, $uri) = @ARGV;
Sys::Virt::Event::register_default();
my $connection = Sys::Virt->new(uri => $uri);
my @events;
$connection->domain_event_register_any(
    undef,
    Sys::Virt::Domain::EVENT_ID_LIFECYCLE,
    sub { my ($conn, $domain, $event, $detail) = @_; push @events, $domain->get_name() . ":$event:$detail"; }
);
my $domain = $connection->define_domain(
    "<domain type='$driver'><name>perl</name><memory>65536</memory><os><type>hvm</type></os></domain>");
$domain->create();
my $info = $domain->get_info();
print join(" ", map { "$_=$info->{$_}" } grep { $_ ne "cpuTime" } sort keys %$info), "\n";
print "listed\n" if grep { $_->get_name() eq "perl" } $connection->list_all_domains();
for my $stats ($connection->get_all_domain_stats(Sys::Virt::Domain::STATS_STATE)) {
    print "state $stats->{data}{'state.state'}\n" if $stats->{dom}->get_name() eq "perl";
}
$domain->suspend();
$domain->resume();
$domain->destroy();
$domain->undefine();
while (!grep { $_ eq "perl:1:0" } @events) { Sys::Virt::Event::run_default(); }
# That processors begin to run, and that a killed guest shuts down, is told as QEMU's events race.
my %fleeting = map { $_ => 1 } ("perl:4:0", "perl:6:2");
print join(" ", grep { !$fleeting{$_} } @events), "\n";
eval { $connection->get_domain_by_name("nope") };
print ref($@), " ", $@->code, " ", $@->domain, " ", $@->level, " ", $@->message, "\n";
