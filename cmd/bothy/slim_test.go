package main

import (
	"strings"
	"testing"
)

func TestCleanRegionsLeavesWhatWasChanged(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 08:00 11 /usr/bin/bothy
Rss:                 900 kB
Anonymous:             0 kB
00500000-00600000 r--p 00100000 08:00 11 /usr/bin/bothy
Anonymous:             4 kB
00600000-00700000 rw-p 00200000 08:00 11 /usr/bin/bothy
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             8 kB
7fff00000000-7fff00001000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
`
	got := cleanRegions(strings.NewReader(smaps))
	if len(got) != 1 || got[0] != (region{0x400000, 0x500000}) {
		t.Fatalf("found %x, want only the text of the program", got)
	}
}

func TestSlimLeavesTheProgramWhole(t *testing.T) {
	if err := slim(); err != nil {
		t.Fatal(err)
	}
	// Code and constants that were let go of come back from the file.
	if newRoot(newTerminal()).Short == "" {
		t.Error("a constant is gone")
	}
}

func TestFilePages(t *testing.T) {
	before, err := filePages()
	if err != nil || before == 0 {
		t.Fatalf("%d pages, %v", before, err)
	}
	if err := slim(); err != nil {
		t.Fatal(err)
	}
	if after, err := filePages(); err != nil || after >= before {
		t.Errorf("%d pages, then %d, %v", before, after, err)
	}
}
