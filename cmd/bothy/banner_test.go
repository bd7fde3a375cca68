package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestBanner(t *testing.T) {
	whole := Banner{
		Version: "v1.2.3", Command: "bin/bothy", Name: "hut", HTTPAddr: "0.0.0.0:8080", SSHAddr: "0.0.0.0:2222", Dir: "/srv/bothy", KeyPath: "/srv/bothy/admin.key",
		Nodes: 1, Voters: 1, Model: "script", ModelVariables: []string{"OPENAI_API_KEY", "ANTHROPIC_API_KEY"},
		Abilities: []string{"exec", "pause"},
		Missing:   []string{"no hard storage limits: the volume pool is not btrfs (install btrfs-progs)"},
	}
	third := Banner{
		Version: "v1.2.3", Command: "bothy", Name: "n3", HTTPAddr: "127.0.0.1:8082", Dir: "/srv/it's/n3", Nodes: 3, Voters: 3, Model: "gpt-5.2",
		Abilities: []string{"exec", "storage quota"},
	}
	second, joining := third, third
	second.Nodes, second.Voters = 2, 1
	joining.Voters = 1
	third.Saves = true
	for name, b := range map[string]Banner{"first": whole, "second": second, "joining": joining, "third": third} {
		t.Run(name, func(t *testing.T) { golden(t, "banner-"+name+".txt", b.String()) })
	}
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and read the difference.\n%s", path, got)
	}
}
