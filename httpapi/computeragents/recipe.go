package computeragents

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// runtimes are the language versions an environment can have.
var runtimes = map[string][]string{
	"python": {"3.9", "3.10", "3.11", "3.12", "3.13"},
	"nodejs": {"18", "20", "22"},
	"go":     {"1.20", "1.21", "1.22", "1.23"},
	"php":    {"8.1", "8.2", "8.3"},
	"java":   {"11", "17", "21"},
	"ruby":   {"3.1", "3.2", "3.3"},
	"rust":   {"stable", "1.75", "1.76", "1.77"},
}

// packageName is what package managers take: no option, no white space.
var packageName = regexp.MustCompile(`^[A-Za-z0-9@._/][A-Za-z0-9@._/+~:=<>!\[\],^*-]*$`)

// writeSpec takes over every field that the request has, or says what is wrong.
func writeSpec(spec *actors.EnvironmentSpec, req wire.WriteEnvironment) error {
	for _, write := range []func(*actors.EnvironmentSpec, wire.WriteEnvironment) error{
		writeTexts, writeInputs, writeValues, writeObjects,
	} {
		if err := write(spec, req); err != nil {
			return err
		}
	}
	if req.InternetAccess.Set {
		spec.NoInternet = req.InternetAccess.Given() && !req.InternetAccess.Value
	}
	if req.IsDefault.Set {
		spec.Default = req.IsDefault.Value
	}
	return nil
}

func writeTexts(spec *actors.EnvironmentSpec, req wire.WriteEnvironment) error {
	for _, f := range []struct {
		field string
		from  wire.Optional[string]
		into  *string
		check func(field, text string) error
	}{
		{"name", req.Name, &spec.Name, name},
		{"description", req.Description, &spec.Description, long},
		{"baseImage", req.BaseImage, &spec.BaseImage, name},
		{"dockerfileExtensions", req.DockerfileExtensions, &spec.Dockerfile, dockerfile},
		{"appId", req.AppID, &spec.App, name},
	} {
		if !f.from.Set {
			continue
		}
		if err := f.check(f.field, f.from.Value); err != nil {
			return err
		}
		*f.into = f.from.Value
	}
	return nil
}

func dockerfile(field, text string) error {
	if len(text) > maxDockerfile {
		return invalid(field, "%s must be at most %d bytes", field, maxDockerfile)
	}
	return nil
}

// writeInputs takes over what an image is built from.
func writeInputs(spec *actors.EnvironmentSpec, req wire.WriteEnvironment) error {
	if req.Runtimes.Set {
		if err := checkRuntimes(req.Runtimes.Value); err != nil {
			return err
		}
		spec.Runtimes = req.Runtimes.Value
	}
	if req.Packages.Set {
		p := req.Packages.Value
		for _, l := range []struct {
			kind string
			list []string
		}{{"system", p.System}, {"python", p.Python}, {"node", p.Node}} {
			if err := checkPackages("packages."+l.kind, l.list); err != nil {
				return err
			}
		}
		spec.Packages = state.Packages{System: p.System, Python: p.Python, Node: p.Node}
	}
	if req.SetupScripts.Set {
		if err := scripts("setupScripts", req.SetupScripts.Value); err != nil {
			return err
		}
		spec.SetupScripts = req.SetupScripts.Value
	}
	return nil
}

func checkRuntimes(want map[string]string) error {
	for _, lang := range sorted(want) {
		field := "runtimes." + lang
		versions, ok := runtimes[lang]
		if !ok {
			return invalid(field, "There is no runtime %q; there are %s", lang, strings.Join(sorted(runtimes), ", "))
		}
		if !slices.Contains(versions, want[lang]) {
			return invalid(field, "There is no %s %q; there are %s", lang, want[lang], strings.Join(versions, ", "))
		}
	}
	return nil
}

func checkPackages(field string, list []string) error {
	if err := names(field, list); err != nil {
		return err
	}
	for i, p := range list {
		if !packageName.MatchString(p) {
			at := fmt.Sprintf("%s[%d]", field, i)
			return invalid(at, "%s: %q is not a package's name", at, p)
		}
	}
	return nil
}

// writeValues takes over what runs are given.
func writeValues(spec *actors.EnvironmentSpec, req wire.WriteEnvironment) error {
	for _, f := range []struct {
		field string
		from  wire.Optional[[]wire.KeyValue]
		into  *[]actors.KeyValue
	}{
		{"environmentVariables", req.EnvironmentVariables, &spec.Variables},
		{"secrets", req.Secrets, &spec.Secrets},
	} {
		if !f.from.Set {
			continue
		}
		if err := pairs(f.field, f.from.Value, byIndex); err != nil {
			return err
		}
		*f.into = nil
		for _, kv := range f.from.Value {
			*f.into = append(*f.into, actors.KeyValue{Key: kv.Key, Value: kv.Value})
		}
	}
	if req.MCPServers.Set {
		list, err := servers(req.MCPServers.Value)
		if err != nil {
			return err
		}
		spec.MCPServers = list
	}
	if req.Documentation.Set {
		if err := scripts("documentation", req.Documentation.Value); err != nil {
			return err
		}
		spec.Documentation = req.Documentation.Value
	}
	return nil
}

func writeObjects(spec *actors.EnvironmentSpec, req wire.WriteEnvironment) error {
	if req.Metadata.Set {
		m, err := object("metadata", req.Metadata.Value)
		if err != nil {
			return err
		}
		spec.Metadata = m
	}
	if req.NetworkAccess.Set { // its rules are read where they are recorded
		raw, err := object("networkAccess", req.NetworkAccess.Value)
		if err != nil {
			return err
		}
		spec.NetworkAccess = raw
	}
	return nil
}

// environmentOf is an environment on the wire, for its owner: secrets are
// named, never shown.
func (a *API) environmentOf(v *state.View, e state.Environment) (wire.Environment, error) {
	spec, err := a.Environments.Spec(e)
	if err != nil {
		return wire.Environment{}, err
	}
	computer, _, err := v.AnyComputer(e.Computer)
	if err != nil {
		return wire.Environment{}, err
	}
	w := wire.Environment{
		ID: string(e.ID), UserID: string(e.User), Name: e.Name, Description: maybe(e.Description), BaseImage: maybe(e.BaseImage),
		DockerfileExtensions: maybe(e.Dockerfile), Runtimes: e.Runtimes,
		Packages:     wire.Packages{System: some(e.Packages.System), Python: some(e.Packages.Python), Node: some(e.Packages.Node)},
		SetupScripts: some(e.SetupScripts), MCPServers: serversOf(spec.MCPServers), Documentation: some(e.Documentation),
		EnvironmentVariables: []wire.KeyValue{}, Secrets: []wire.KeyValue{},
		InternetAccess: !e.NoInternet, NetworkAccess: rawOrNull(e.NetworkAccess), Metadata: rawObject(e.Metadata),
		BuildStatus: e.Build.Status, BuildHash: maybe(e.Build.Hash), BuildError: maybe(e.Build.Error), BuildLogs: maybe(e.Build.Logs),
		LastBuildAt: wire.Maybe(e.Build.At), ImageTag: maybe(e.Build.Image), IsDefault: e.Default, IsActive: !e.Inactive,
		Status: statusOf(computer), ComputerID: string(e.Computer), AppID: maybe(e.App),
		CreatedAt: wire.At(e.CreatedAt), UpdatedAt: wire.At(e.UpdatedAt),
	}
	if w.Runtimes == nil {
		w.Runtimes = map[string]string{}
	}
	for _, kv := range spec.Variables {
		w.EnvironmentVariables = append(w.EnvironmentVariables, wire.KeyValue{Key: kv.Key, Value: kv.Value})
	}
	for _, kv := range spec.Secrets {
		w.Secrets = append(w.Secrets, wire.KeyValue{Key: kv.Key, HasValue: true})
	}
	return w, nil
}

func rawOrNull(b []byte) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage("null")
	}
	return b
}
