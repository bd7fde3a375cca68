package agentcomputer

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) usageRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/usage", Scopes: reading, Serve: a.Handle(a.accountUsage)},
		{Method: "GET", Path: "/computers/:id/usage", Scopes: reading, Serve: a.Handle(a.computerUsage)},
	}
}

// accountUsage serves GET /usage.
func (a *API) accountUsage(c *gin.Context) error {
	var account state.Account
	err := a.Look(c, func(v *state.View) (err error) {
		account, err = v.Account(door.CallerOf(c).Account, a.Now())
		return err
	})
	if err != nil {
		return err
	}
	ok(c, gin.H{"usage": struct {
		RuntimeSeconds int64     `json:"runtime_seconds"`
		StorageBytes   int64     `json:"storage_bytes"`
		SnapshotBytes  int64     `json:"snapshot_storage_bytes"`
		UpdatedAt      time.Time `json:"updated_at"`
	}{account.RunMillis / 1000, account.StoredBytes, account.SnapshotBytes, account.UpdatedAt}})
	return nil
}

// Units of a computer's usage.
const (
	millisPerHour      = 3_600_000
	mibSecondsPerGiBHr = 1024 * 3600
)

// computerUsage serves GET /computers/:id/usage, as last ticked.
func (a *API) computerUsage(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	usage := struct {
		RuntimeSeconds int64     `json:"runtime_seconds"`
		CPUHours       float64   `json:"cpu_hours"`
		RAMGiBHours    float64   `json:"ram_gib_hours"`
		HotBytes       int64     `json:"hot_storage_bytes"`
		ColdBytes      int64     `json:"cold_storage_bytes"`
		UpdatedAt      time.Time `json:"updated_at"`
	}{RuntimeSeconds: m.Metered.RunMillis / 1000, CPUHours: float64(m.Metered.CPUMillis) / millisPerHour,
		RAMGiBHours: float64(m.Metered.MemorySeconds) / mibSecondsPerGiBHr, UpdatedAt: m.TickedAt}
	if m.TickedAt.IsZero() {
		usage.UpdatedAt = m.CreatedAt
	}
	if m.Phase.Up() {
		usage.HotBytes = m.StoredBytes
	} else {
		usage.ColdBytes = m.StoredBytes
	}
	ok(c, gin.H{"usage": usage})
	return nil
}
