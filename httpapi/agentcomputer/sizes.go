package agentcomputer

import (
	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) sizeRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/computer-size-presets", Access: door.Public, Serve: a.Handle(a.listPresets)},
		{Method: "POST", Path: "/computer-capacity/check", Scopes: reading, Serve: a.Handle(a.checkCapacity)},
	}
}

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30
	// Bounds of a custom size.
	minMemoryMiB, maxMemoryMiB, memoryStepMiB   = 2048, 65536, 1024
	minStorage, maxStorage, storageStep         = 5 * gibibyte, 250 * gibibyte, gibibyte
	customSize                                  = "custom"
	defaultPreset                               = "ram-2g"
	platformLinux, platformMac                  = "linux", "macos"
	macMemoryMiB, macStorage                    = 4096, 64 * gibibyte
	reasonPlatform, reasonMemory, reasonStorage = codePlatform, "insufficient_memory", "insufficient_storage"
	reasonNoHosts                               = "no_hosts"
)

// preset is a size with a name.
type preset struct {
	ID           string `json:"id"`
	Label        string `json:"label"`
	MemoryMiB    int64  `json:"memory_mib"`
	StorageBytes int64  `json:"storage_bytes"`
}

var presets = []preset{
	{defaultPreset, "2 GiB memory, 5 GiB storage", 2048, 5 * gibibyte},
	{"ram-4g", "4 GiB memory, 10 GiB storage", 4096, 10 * gibibyte},
	{"ram-8g", "8 GiB memory, 25 GiB storage", 8192, 25 * gibibyte},
}

// limits are the bounds of custom sizes.
type limits struct {
	DefaultVCPUs    float64 `json:"default_vcpus"`
	MinMemoryMiB    int64   `json:"min_memory_mib"`
	MaxMemoryMiB    int64   `json:"max_memory_mib"`
	MemoryStepMiB   int64   `json:"memory_step_mib"`
	MinStorageBytes int64   `json:"min_storage_bytes"`
	MaxStorageBytes int64   `json:"max_storage_bytes"`
	StorageStep     int64   `json:"storage_step_bytes"`
}

func (a *API) resourceLimits() limits {
	return limits{DefaultVCPUs: float64(a.shapes.MilliCPU) / 1000, MinMemoryMiB: minMemoryMiB, MaxMemoryMiB: maxMemoryMiB,
		MemoryStepMiB: memoryStepMiB, MinStorageBytes: minStorage, MaxStorageBytes: maxStorage, StorageStep: storageStep}
}

// sized are the fields by which a request names a size.
type sized struct {
	SizePreset   wire.Optional[string] `json:"size_preset"`
	MemoryMiB    wire.Optional[int64]  `json:"requested_memory_mib"`
	StorageBytes wire.Optional[int64]  `json:"requested_storage_bytes"`
}

// wanted is the size that a request asks for; one that it leaves out is have's.
func (s sized) wanted(have preset) (preset, error) {
	want := have
	switch id := s.SizePreset.Value; {
	case id == "" || id == customSize:
	default:
		p, found := presetNamed(id)
		if !found {
			return want, invalid("size_preset", "size_preset must be ram-2g, ram-4g, ram-8g or custom, not %.40q", id)
		}
		if s.MemoryMiB.Given() && s.MemoryMiB.Value != p.MemoryMiB || s.StorageBytes.Given() && s.StorageBytes.Value != p.StorageBytes {
			return want, invalid("size_preset", "size_preset %s has its own memory and storage; leave requested_memory_mib and requested_storage_bytes out, or use custom", id)
		}
		return p, nil
	}
	if s.MemoryMiB.Given() {
		want.MemoryMiB = s.MemoryMiB.Value
	}
	if s.StorageBytes.Given() {
		want.StorageBytes = s.StorageBytes.Value
	}
	if s.SizePreset.Value == customSize && have.ID == defaultPreset && !(s.MemoryMiB.Given() && s.StorageBytes.Given()) {
		return want, invalid("size_preset", "a custom size needs both requested_memory_mib and requested_storage_bytes")
	}
	return want, s.check(want)
}

// check holds what was given to the bounds of custom sizes.
func (s sized) check(p preset) error {
	if s.MemoryMiB.Given() && !within(p.MemoryMiB, minMemoryMiB, maxMemoryMiB, memoryStepMiB) {
		return invalid("requested_memory_mib", "requested_memory_mib must be from %d to %d in steps of %d", minMemoryMiB, maxMemoryMiB, memoryStepMiB)
	}
	if s.StorageBytes.Given() && !within(p.StorageBytes, minStorage, maxStorage, storageStep) {
		return invalid("requested_storage_bytes", "requested_storage_bytes must be from %d to %d in steps of %d", int64(minStorage), int64(maxStorage), int64(storageStep))
	}
	return nil
}

func within(n, low, high, step int64) bool { return n >= low && n <= high && n%step == 0 }

func presetNamed(id string) (preset, bool) {
	for _, p := range presets {
		if p.ID == id {
			return p, true
		}
	}
	return preset{}, false
}

// presetOf names a computer's size.
func presetOf(s state.Size) string {
	for _, p := range presets {
		if p.MemoryMiB == s.MemoryBytes/mebibyte && p.StorageBytes == s.DiskBytes {
			return p.ID
		}
	}
	return customSize
}

func (p preset) size() state.Size {
	return state.Size{MemoryBytes: p.MemoryMiB * mebibyte, DiskBytes: p.StorageBytes}
}

// listPresets serves GET /computer-size-presets.
func (a *API) listPresets(c *gin.Context) error {
	ok(c, gin.H{"presets": presets})
	return nil
}

// platform checks a request's platform and gives the size that it begins with.
func platform(name string) (have preset, err error) {
	switch name {
	case "", platformLinux:
		return presets[0], nil
	case platformMac:
		return preset{ID: customSize, MemoryMiB: macMemoryMiB, StorageBytes: macStorage}, nil
	}
	return have, invalid("platform", "platform must be linux or macos, not %.40q", name)
}

// capacity is whether the nodes have room for a computer.
type capacity struct {
	Available       bool   `json:"available"`
	ReasonCode      string `json:"reason_code,omitempty"`
	SizePreset      string `json:"size_preset"`
	MemoryMiB       int64  `json:"requested_memory_mib"`
	StorageBytes    int64  `json:"requested_storage_bytes"`
	AvailableMemory int64  `json:"available_memory_mib"`
	AvailableDisk   int64  `json:"available_storage_bytes"`
	MaxMemory       int64  `json:"max_memory_mib"`
	MaxDisk         int64  `json:"max_storage_bytes"`
	ConfiguredHosts int    `json:"configured_hosts"`
	MatchingHosts   int    `json:"matching_hosts"`
	ResourceLimits  limits `json:"resource_limits"`
}

// checkCapacity serves POST /computer-capacity/check.
func (a *API) checkCapacity(c *gin.Context) error {
	var req struct {
		sized
		Computer string `json:"computer_id"`
		Exclude  string `json:"exclude_computer_id"`
		Platform string `json:"platform"`
	}
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	have, err := platform(req.Platform)
	if err != nil {
		return err
	}
	held, err := a.heldBy(c, req.Computer, req.Exclude, &have)
	if err != nil {
		return err
	}
	want, err := req.wanted(have)
	if err != nil {
		return err
	}
	reply := a.judge(want, held)
	if req.Platform == platformMac {
		reply.Available, reply.ReasonCode, reply.MatchingHosts = false, reasonPlatform, 0
	}
	ok(c, reply)
	return nil
}

// heldBy is what computers hold that the request counts as free: the one to be
// resized, whose size is also the one to begin with, and one to be left out.
func (a *API) heldBy(c *gin.Context, resized, excluded string, have *preset) (held state.Size, err error) {
	account := door.CallerOf(c).Account
	err = a.Look(c, func(v *state.View) error {
		for field, name := range map[string]string{"computer_id": resized, "exclude_computer_id": excluded} {
			if name == "" {
				continue
			}
			if !door.LooksLikeID(name) {
				return invalid(field, "%s is not an id", field)
			}
			one, err := named(v, account, name)
			if err != nil {
				return err
			}
			held.MemoryBytes = max(held.MemoryBytes, one.MemoryBytes)
			held.DiskBytes = max(held.DiskBytes, one.DiskBytes)
			if field == "computer_id" {
				*have = preset{presetOf(one.Size()), "", one.MemoryBytes / mebibyte, one.DiskBytes}
			}
		}
		return nil
	})
	return held, err
}

// judge compares a size with what the nodes have free.
func (a *API) judge(want preset, held state.Size) capacity {
	reply := capacity{SizePreset: presetOf(want.size()), MemoryMiB: want.MemoryMiB, StorageBytes: want.StorageBytes, ResourceLimits: a.resourceLimits()}
	rooms := a.Hosts.Rooms()
	reply.ConfiguredHosts = len(rooms)
	for _, r := range rooms {
		memory, disk := (r.MemoryFree+held.MemoryBytes)/mebibyte, r.DiskFree+held.DiskBytes
		reply.AvailableMemory, reply.AvailableDisk = max(reply.AvailableMemory, memory), max(reply.AvailableDisk, disk)
		if memory >= want.MemoryMiB && disk >= want.StorageBytes {
			reply.MatchingHosts++
		}
	}
	reply.MaxMemory = min(maxMemoryMiB, reply.AvailableMemory/memoryStepMiB*memoryStepMiB)
	reply.MaxDisk = min(maxStorage, reply.AvailableDisk/storageStep*storageStep)
	reply.Available = reply.MatchingHosts > 0
	switch {
	case reply.Available:
	case len(rooms) == 0:
		reply.ReasonCode = reasonNoHosts
	case reply.AvailableMemory < want.MemoryMiB:
		reply.ReasonCode = reasonMemory
	default:
		reply.ReasonCode = reasonStorage
	}
	return reply
}

// unavailablePlatform refuses to make a computer that no node can run.
func unavailablePlatform() error {
	return fault.New(fault.Unsupported, "no node has a macOS host").WithCode(codePlatform).WithField("platform")
}
