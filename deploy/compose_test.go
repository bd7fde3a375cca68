package deploy

import (
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// TestComposeFileFitsTogether reads it as docker compose does, schema and all.
func TestComposeFileFitsTogether(t *testing.T) {
	o, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithName("bothy"), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]types.ServiceConfig{}
	for name, s := range project.Services {
		if s.Build != nil {
			nodes[name] = s
		}
	}
	if len(nodes) != 3 {
		t.Fatalf("%d nodes", len(nodes))
	}
	var urls []string
	for _, name := range []string{"n1", "n2", "n3"} {
		urls = append(urls, "http://"+name+":8080")
	}
	taken := map[string]string{}
	for name, s := range nodes {
		env := func(variable string) string {
			if v := s.Environment[variable]; v != nil {
				return *v
			}
			return ""
		}
		if env("BOTHY_BOOTSTRAP") != strings.Join(urls, ",") || env("BOTHY_ID") != name || env("BOTHY_ADVERTISE") != name {
			t.Errorf("%s does not know itself or the others: %v", name, s.Environment)
		}
		if !s.Privileged || s.Cgroup != "host" || len(s.Secrets) != 1 {
			t.Errorf("%s lacks what a node needs", name)
		}
		mounted := map[string]string{}
		for _, v := range s.Volumes {
			mounted[v.Target] = v.Source
		}
		if mounted["/var/lib/bothy"] != name || mounted["/var/lib/bothy/uids"] != "uids" || mounted["/dev"] != "/dev" {
			t.Errorf("%s has %v", name, mounted)
		}
		for _, p := range s.Ports {
			if taken[p.Published] != "" {
				t.Errorf("%s and %s both publish %s", name, taken[p.Published], p.Published)
			}
			taken[p.Published] = name
		}
	}
}
