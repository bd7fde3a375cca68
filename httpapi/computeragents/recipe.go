package computeragents

import (
	"encoding/json"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

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
		{"dockerfileExtensions", req.DockerfileExtensions, &spec.Dockerfile, anything},
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

// anything is a text that whoever uses it checks.
func anything(string, string) error { return nil }

// writeInputs takes over what an image is built from.
func writeInputs(spec *actors.EnvironmentSpec, req wire.WriteEnvironment) error {
	if req.Runtimes.Set {
		spec.Runtimes = req.Runtimes.Value
	}
	if req.Packages.Set {
		p := req.Packages.Value
		spec.Packages = state.Packages{System: p.System, Python: p.Python, Node: p.Node}
	}
	if req.SetupScripts.Set {
		spec.SetupScripts = req.SetupScripts.Value
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
		Packages:     packages(e.Packages),
		SetupScripts: some(e.SetupScripts), MCPServers: serversOf(spec.MCPServers), Documentation: some(e.Documentation),
		EnvironmentVariables: []wire.KeyValue{}, Secrets: []wire.KeyValue{},
		InternetAccess: !e.NoInternet, NetworkAccess: rawOrNull(e.NetworkAccess), Metadata: rawObject(e.Metadata),
		BuildStatus: e.Build.Status, BuildHash: maybe(e.Build.Hash), BuildError: maybe(e.Build.Error),
		LastBuildAt: wire.Maybe(e.Build.At), ImageTag: maybe(e.Build.Tag), IsDefault: e.Default, IsActive: !e.Inactive,
		Status: environmentStatusOf(e, computer), ComputerID: string(e.Computer), AppID: maybe(e.App),
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
