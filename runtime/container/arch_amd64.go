package container

import "github.com/opencontainers/runtime-spec/specs-go"

func architectures() []specs.Arch { return []specs.Arch{specs.ArchX86_64} }
