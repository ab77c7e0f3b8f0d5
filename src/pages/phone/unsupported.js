// Runs only in browsers without modules: shows a clear message instead of a page that never opens.

document.getElementById('old-browser').hidden = false;
document.getElementById('opening').hidden = true;
