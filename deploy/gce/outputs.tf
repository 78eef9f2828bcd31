output "ssh" {
  description = "A shell on the machine, through Identity-Aware Proxy"
  value       = "gcloud compute ssh ${var.name} --project=${var.project} --zone=${var.zone} --tunnel-through-iap"
}

output "release" {
  description = "Send a release to the machine"
  value       = "deploy/gce/release.sh ${var.project} ${var.region} ${var.zone} ${var.name}"
}

output "images" {
  description = "Where images are pushed to"
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
