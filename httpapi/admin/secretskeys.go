package admin

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// getSecretsKey serves GET /v1/admin/secrets-key.
func (a *API) getSecretsKey(c *gin.Context) error {
	var reply wire.SecretsKey
	err := a.Look(c, func(v *state.View) error {
		k, ok, err := v.SecretsKeys()
		if reply = secretsKeyOf(k); !ok {
			reply.Phase = neverRotated
		}
		return err
	})
	if err != nil {
		return err
	}
	a.ok(c, reply)
	return nil
}

// neverRotated is the phase of a key that the cluster began with.
const neverRotated = "never"

// rotateSecretsKey serves POST /v1/admin/secrets-key/rotate.
func (a *API) rotateSecretsKey(c *gin.Context) error {
	k, err := a.Nodes.RotateSecrets(c.Request.Context())
	if err != nil {
		return err
	}
	c.JSON(http.StatusAccepted, secretsKeyOf(k))
	return nil
}

func secretsKeyOf(k state.SecretsKeys) wire.SecretsKey {
	return wire.SecretsKey{ID: k.Current, Phase: string(k.Phase), Resealed: k.Resealed, Unreadable: k.Unreadable, Unread: k.Unread,
		StartedAt: wire.Maybe(k.StartedAt), EndedAt: wire.Maybe(k.EndedAt)}
}
