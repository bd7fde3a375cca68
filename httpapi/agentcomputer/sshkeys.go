package agentcomputer

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) sshKeyRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/ssh-keys", Scopes: reading, Serve: a.Handle(a.listSSHKeys)},
		{Method: "POST", Path: "/ssh-keys", Scopes: writing, Serve: a.Handle(a.createSSHKey)},
		{Method: "DELETE", Path: "/ssh-keys/:key", Scopes: writing, Serve: a.Handle(a.deleteSSHKey)},
	}
}

// sshKey is a registered public key on the wire.
type sshKey struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	PublicKey   string     `json:"public_key"`
	Fingerprint string     `json:"fingerprint"`
	CreatedAt   time.Time  `json:"created_at"`
	LastUsedAt  *time.Time `json:"last_used_at"`
	RevokedAt   *time.Time `json:"revoked_at"`
}

func sshKeyOf(k state.SSHKey) sshKey {
	return sshKey{ID: string(k.ID), Name: k.Name, PublicKey: k.PublicKey, Fingerprint: k.Fingerprint,
		CreatedAt: k.CreatedAt, LastUsedAt: maybeTime(k.LastUsedAt), RevokedAt: maybeTime(k.RevokedAt)}
}

// listSSHKeys serves GET /ssh-keys: those that are not revoked, newest first.
func (a *API) listSSHKeys(c *gin.Context) error {
	keys, err := a.SSH.Keys(c.Request.Context(), door.CallerOf(c))
	if err != nil {
		return err
	}
	reply := struct {
		Keys []sshKey `json:"ssh_keys"`
	}{Keys: []sshKey{}}
	for _, k := range keys {
		reply.Keys = append(reply.Keys, sshKeyOf(k))
	}
	ok(c, reply)
	return nil
}

// createSSHKey serves POST /ssh-keys.
func (a *API) createSSHKey(c *gin.Context) error {
	var req struct {
		PublicKey string `json:"public_key"`
		Name      string `json:"name"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if req.PublicKey == "" {
		return invalid("public_key", "Missing required field: public_key")
	}
	if err := name("name", req.Name); err != nil {
		return err
	}
	key, err := a.SSH.RegisterKey(c.Request.Context(), door.CallerOf(c), req.Name, req.PublicKey)
	if err == nil {
		c.JSON(http.StatusCreated, gin.H{"ssh_key": sshKeyOf(key)})
	}
	return err
}

// deleteSSHKey serves DELETE /ssh-keys/:key, a revoke.
func (a *API) deleteSSHKey(c *gin.Context) error {
	id, err := door.ID(c, "key", "SSH key")
	if err != nil {
		return err
	}
	if err := a.SSH.RevokeKey(c.Request.Context(), door.CallerOf(c), state.SSHKeyID(id)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
