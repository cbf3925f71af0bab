# Checks signatures with Debian's libmail-dkim-perl, which shares no code with ours and knows RSA only.
#
# usage: mail-dkim.pl KEYS MESSAGE…
#
# KEYS has a line "NAME TXT" for each DNS record there is. Prints a line for each signature of each
# message, from the top: file, selector, algorithm, result. At the end "file - overall result".

use strict;
use warnings;
use Mail::DKIM::Verifier;
use Mail::DKIM::DNS;
use Net::DNS::RR;

my %records;
open my $keys, '<', shift or die "no keys: $!";
while ( my $line = <$keys> ) {
    chomp $line;
    my ( $name, $text ) = split / /, $line, 2;
    $records{$name} = $text;
}

{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        my ( $name, $type ) = @_;
        my $text = $records{$name};
        $@ = 'NXDOMAIN';
        return unless defined $text;
        # A string of the DNS has at most 255 bytes.
        return Net::DNS::RR->new(
            name => $name, type => 'TXT', txtdata => [ unpack '(A200)*', $text ] );
    };
}

for my $path (@ARGV) {
    my $verifier = Mail::DKIM::Verifier->new();
    open my $message, '<:raw', $path or die "$path: $!";
    local $/;
    $verifier->PRINT( scalar <$message> );
    $verifier->CLOSE;
    ( my $file = $path ) =~ s{.*/}{};
    for my $signature ( $verifier->signatures ) {
        print "$file ", $signature->selector, ' ', $signature->algorithm, ' ', $signature->result, "\n";
    }
    print "$file - overall ", $verifier->result, "\n";
}
