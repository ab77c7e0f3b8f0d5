// Runs only in browsers that know no modules: they get a clear word instead of a page that never opens.

document.getElementById('old-browser').hidden = false;
document.getElementById('opening').hidden = true;
