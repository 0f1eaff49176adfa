// Kubernetes' own network-policy suite, alone: of the whole end-to-end binary it needs one package in twenty.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"

	_ "k8s.io/kubernetes/test/e2e/network/netpol"
)

// outcome stands where a Go test would: ginkgo tells it of a failure.
type outcome struct{ failed bool }

func (o *outcome) Fail() { o.failed = true }

// tell writes one line for each case to standard error; what led to it is the log, on standard output.
func tell(report ginkgo.SpecReport) {
	if report.State.Is(types.SpecStateSkipped | types.SpecStatePending) {
		return
	}
	fmt.Fprintf(os.Stderr, "%-7s %5.1f s  %s\n", report.State, report.RunTime.Seconds(), report.FullText())
	if report.Failed() {
		reason, _, _ := strings.Cut(report.Failure.Message, "\n")
		fmt.Fprintf(os.Stderr, "                 %s\n", reason)
	}
}

// total writes how many cases came to which end.
func total(report ginkgo.Report) {
	ended := map[types.SpecState]int{}
	for _, each := range report.SpecReports.WithLeafNodeType(types.NodeTypeIt) {
		ended[each.State]++
	}
	for _, state := range slices.Sorted(maps.Keys(ended)) {
		fmt.Fprintf(os.Stderr, "%s: %d\n", state, ended[state])
	}
}

func main() {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	framework.AfterReadingAllFlags(&framework.TestContext)
	// The framework has gone through all cases by now without running any, which would have been told as passes.
	ginkgo.ReportAfterEach(tell)
	ginkgo.ReportAfterSuite("totals", total)
	gomega.RegisterFailHandler(framework.Fail)
	suite, reporter := framework.CreateGinkgoConfig()
	result := &outcome{}
	if passed := ginkgo.RunSpecs(result, "network policies", suite, reporter); !passed || result.failed {
		os.Exit(1)
	}
}
