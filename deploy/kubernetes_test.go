package deploy

import (
	"fmt"
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// manifests reads the objects of a file by kind, each strictly: a field that
// its type does not have is an error.
func manifests(t *testing.T, path string) map[string][]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]any{}
	for i, document := range strings.Split(string(text), "\n---\n") {
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
		if head.Kind == "" {
			continue // the comment at the top
		}
		into, ok := map[string]any{
			"v1 ConfigMap": &corev1.ConfigMap{}, "v1 Service": &corev1.Service{}, "apps/v1 StatefulSet": &appsv1.StatefulSet{},
			"policy/v1 PodDisruptionBudget": &policyv1.PodDisruptionBudget{},
		}[head.APIVersion+" "+head.Kind]
		if !ok {
			t.Fatalf("document %d: nothing here reads %s %s", i, head.APIVersion, head.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Errorf("%s: %v", head.Kind, err)
		}
		all[head.Kind] = append(all[head.Kind], into)
	}
	return all
}

// TestKubernetesManifestsFitTogether reads them as Kubernetes would, and follows
// each name from where it is used to where it is given.
func TestKubernetesManifestsFitTogether(t *testing.T) {
	all := manifests(t, "kubernetes/bothy.yaml")
	set := all["StatefulSet"][0].(*appsv1.StatefulSet)
	pod := set.Spec.Template
	node := pod.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range node.Ports {
		ports[p.Name] = p.ContainerPort
	}
	services := map[string]*corev1.Service{}
	for _, s := range all["Service"] {
		s := s.(*corev1.Service)
		services[s.Name] = s
		for k, v := range s.Spec.Selector {
			if pod.Labels[k] != v {
				t.Errorf("service %s selects no pod", s.Name)
			}
		}
		for _, p := range s.Spec.Ports {
			if target := p.TargetPort.StrVal; target != "" && ports[target] == 0 {
				t.Errorf("service %s: no container port is called %s", s.Name, target)
			}
		}
	}
	own := services[set.Spec.ServiceName]
	if own == nil || own.Spec.ClusterIP != corev1.ClusterIPNone || !own.Spec.PublishNotReadyAddresses {
		t.Error("the set's own service must be headless, and name pods before they are ready: they start by finding each other")
	}
	var urls []string
	for i := range *set.Spec.Replicas {
		urls = append(urls, fmt.Sprintf("http://%s-%d.%s:%d", set.Name, i, set.Spec.ServiceName, ports["http"]))
	}
	for _, e := range node.Env {
		if e.Name == "BOTHY_BOOTSTRAP" && e.Value != strings.Join(urls, ",") {
			t.Errorf("BOTHY_BOOTSTRAP is %s, want the pods: %s", e.Value, strings.Join(urls, ","))
		}
	}
	budget := all["PodDisruptionBudget"][0].(*policyv1.PodDisruptionBudget)
	for k, v := range budget.Spec.Selector.MatchLabels {
		if pod.Labels[k] != v || set.Spec.Selector.MatchLabels[k] != v {
			t.Error("the disruption budget and the set select other pods than those there are")
		}
	}
	if budget.Spec.MaxUnavailable.IntValue() != 1 {
		t.Error("more than one voter of three may go at once")
	}
	volumesAreThere(t, set, all)
}

func volumesAreThere(t *testing.T, set *appsv1.StatefulSet, all map[string][]any) {
	t.Helper()
	have := map[string]bool{}
	for _, v := range set.Spec.Template.Spec.Volumes {
		have[v.Name] = true
		if v.ConfigMap != nil && v.ConfigMap.Name != all["ConfigMap"][0].(*corev1.ConfigMap).Name {
			t.Errorf("no config map %s", v.ConfigMap.Name)
		}
	}
	for _, c := range set.Spec.VolumeClaimTemplates {
		have[c.Name] = true
	}
	mounted := map[string]bool{}
	for _, m := range set.Spec.Template.Spec.Containers[0].VolumeMounts {
		mounted[m.MountPath] = true
		if !have[m.Name] {
			t.Errorf("%s: there is no volume %s", m.MountPath, m.Name)
		}
	}
	for _, path := range []string{"/var/lib/bothy", "/dev"} {
		if !mounted[path] {
			t.Errorf("nothing is mounted at %s", path)
		}
	}
}
