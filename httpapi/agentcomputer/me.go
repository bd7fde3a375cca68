package agentcomputer

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) meRoutes() []door.Route {
	return []door.Route{{Method: "GET", Path: "/me", Serve: a.Handle(a.me)}}
}

// me is who calls.
type me struct {
	ID            string  `json:"id"`
	ClerkUserID   string  `json:"clerk_user_id"`
	ClerkKeyID    *string `json:"clerk_api_key_id"`
	PrimaryEmail  string  `json:"primary_email"`
	DisplayName   string  `json:"display_name"`
	AuthMethod    string  `json:"auth_method"`
	ActiveOrgID   *string `json:"active_org_id"`
	ActiveOrgSlug *string `json:"active_org_slug"`
	ActiveOrgRole *string `json:"active_org_role"`
	Plan          plan    `json:"computer_plan"`
}

// plan is what the account has and may use. Money is in cents.
type plan struct {
	AccessStatus   string     `json:"access_status"` // active, inactive
	AccessMessage  *string    `json:"access_message"`
	FeatureID      string     `json:"feature_id"`
	CreditBalance  float64    `json:"credit_balance"`
	LowBalance     bool       `json:"low_balance"`
	AutoReload     autoReload `json:"auto_reload"`
	ResourceLimits limits     `json:"resource_limits"`
}

// me serves GET /me.
func (a *API) me(c *gin.Context) error {
	caller := door.CallerOf(c)
	var account state.Account
	var user state.User
	err := a.Look(c, func(v *state.View) (err error) {
		if account, err = v.Account(caller.Account, a.Now()); err != nil {
			return err
		}
		user, err = v.User(caller.Account, caller.User)
		return err
	})
	if err != nil {
		return err
	}
	id, slug, role, key := string(account.ID), account.Name, user.Role, string(caller.Key.ID)
	ok(c, me{ID: string(user.ID), ClerkUserID: string(user.ID), ClerkKeyID: &key, PrimaryEmail: emailOf(user, account),
		DisplayName: user.Name, AuthMethod: "api_key", ActiveOrgID: &id, ActiveOrgSlug: &slug, ActiveOrgRole: &role,
		Plan: a.planOf(account)})
	return nil
}

// emailOf is an address for clients that must have one: users here have names.
func emailOf(u state.User, account state.Account) string {
	if strings.Contains(u.Name, "@") {
		return u.Name
	}
	return string(u.ID) + "@" + string(account.ID) + ".invalid"
}

// featureID names what a plan is about.
const featureID = "computers"

func (a *API) planOf(account state.Account) plan {
	p := plan{AccessStatus: "active", FeatureID: featureID, CreditBalance: cents(account.Balance), AutoReload: autoReloadOf(account),
		ResourceLimits: a.resourceLimits()}
	if err := account.Affords(0); err != nil {
		p.AccessStatus = "inactive"
		text := err.Error()
		p.AccessMessage = &text
	}
	p.LowBalance = !account.Unbilled && p.CreditBalance <= float64(p.AutoReload.BalanceThresholdCents)
	return p
}

// microUSDPerCent is how many millionths of a dollar a cent is.
const microUSDPerCent = 10_000

func cents(m state.MicroUSD) float64 { return float64(m) / microUSDPerCent }
